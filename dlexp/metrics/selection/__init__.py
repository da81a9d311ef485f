"""Metrics that a run names with `metrics=[...]`: built-in ones, those of one class, and functions of the user."""
