"""Figures of what a network holds and computes."""
