"""Points drawn from densities that are known, to see what a generative model makes of them."""
