"""The workflow `dlexp doctor`."""
