"""One file for each origin of data."""
