"""Output of the commands that train: live displays, and results as text and tables."""
