"""Metrics as states that are fed batch by batch, and what is computed from them."""
