"""Confidence intervals of metrics, and paired differences."""
