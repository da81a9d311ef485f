"""The learning-rate sweep, and how its curve is read."""
