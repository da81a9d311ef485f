"""The space that a study searches."""
