"""`dlexp evaluate`."""
