"""Diffusion: noise is added in many small steps, and a network learns to take it away again."""
