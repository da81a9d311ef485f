"""A run directory: written, read, restored, and compared with the present."""
