"""Networks made smaller: zero weights, removed channels, low ranks. Pure functions of a network and its weights."""
