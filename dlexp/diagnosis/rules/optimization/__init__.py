"""Learning rates, gradients through the depth, the length of training, and numbers that are not finite."""
