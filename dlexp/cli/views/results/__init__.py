"""Output of the commands that use or compare what was trained."""
