"""Figures of several runs or configurations side by side."""
