"""`dlexp compare`."""
