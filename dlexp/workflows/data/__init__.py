"""`dlexp data`."""
