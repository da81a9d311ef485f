"""The workflow `dlexp sample`, and the pictures of samples that a run makes while it trains."""
