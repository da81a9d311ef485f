"""`dlexp predict`."""
