"""Commands that use or compare what was trained."""
