"""`dlexp profile`."""
