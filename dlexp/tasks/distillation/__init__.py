"""Tasks that learn from the outputs of a trained network, a teacher, beside the targets of the data."""
