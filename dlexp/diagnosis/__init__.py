"""What is wrong with a run: measures of it, and rules that make verdicts of them."""
