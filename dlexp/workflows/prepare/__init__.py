"""The state that training starts from: initial weights and batch size."""
