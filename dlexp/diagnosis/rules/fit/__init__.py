"""How well a network fits: too well, not well enough, with whole classes left out, or held back."""
