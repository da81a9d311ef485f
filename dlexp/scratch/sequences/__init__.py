"""Layers of sequences, from scratch: vectors of tokens, recurrence, attention, pooling."""
