"""Samples of a generative run, measured beside real data."""
