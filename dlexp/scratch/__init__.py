"""Neural networks written with NumPy alone: layers with their derivatives, losses and optimizers, to be read."""
