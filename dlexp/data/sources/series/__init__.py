"""Sources of time series."""
