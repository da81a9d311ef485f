"""The directory of a run: its files, its log, and the tree around it."""
