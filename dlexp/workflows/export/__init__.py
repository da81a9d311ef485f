"""`dlexp export`."""
