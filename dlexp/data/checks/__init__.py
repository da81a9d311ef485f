"""Checks of data: duplicates, leakage, outliers."""
