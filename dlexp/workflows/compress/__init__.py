"""`dlexp compress`."""
