"""The public bench of `dlexp doctor`."""
