"""Figures and pages of what was trained."""
