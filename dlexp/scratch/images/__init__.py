"""Layers of images, from scratch: convolution and pooling."""
