"""Images with a text each."""
