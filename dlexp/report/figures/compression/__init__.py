"""Figures of compressed networks."""
