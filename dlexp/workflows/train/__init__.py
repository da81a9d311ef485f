"""`dlexp train`."""
