"""`dlexp tune`."""
