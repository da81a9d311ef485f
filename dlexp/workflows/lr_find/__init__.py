"""`dlexp lr-find`."""
