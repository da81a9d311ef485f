"""Data: bundles, splits, columns and loaders."""
