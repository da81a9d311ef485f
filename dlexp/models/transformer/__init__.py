"""Transformers: attention, positions, layers, and the networks made of them."""
