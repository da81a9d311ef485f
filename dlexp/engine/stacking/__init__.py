"""Several runs of networks of the same shapes, trained as one network."""
