"""Figures of samples that a model makes."""
