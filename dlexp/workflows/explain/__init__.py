"""The workflow `dlexp explain`."""
