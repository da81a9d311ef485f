"""Checkpoints, crash capsules, and the comparison of saved states."""
