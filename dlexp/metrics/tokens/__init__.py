"""Metrics of sequences of tokens: next ones, generated ones, tags and edits."""
