"""`dlexp verify`."""
