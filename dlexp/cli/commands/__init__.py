"""One module for each command: its signature, its request and its call."""
