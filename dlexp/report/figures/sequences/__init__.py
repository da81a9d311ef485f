"""Figures of sequences: attention, forecasts, tokens with values."""
