"""First and last layers that networks of sequences share."""
