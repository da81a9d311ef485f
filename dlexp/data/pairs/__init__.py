"""Pairs of sequences: a source and what it becomes."""
