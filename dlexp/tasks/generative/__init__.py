"""Tasks that learn what the inputs are like: reconstruction, likelihood, and samples of their own."""
