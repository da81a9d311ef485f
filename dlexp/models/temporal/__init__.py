"""Networks of convolutions over the positions of a sequence."""
