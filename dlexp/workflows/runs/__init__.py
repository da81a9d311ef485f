"""`dlexp runs`."""
