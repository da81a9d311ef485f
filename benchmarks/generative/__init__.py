"""Generative models trained to their targets, and what their samples are worth."""
