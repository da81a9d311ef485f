"""Metrics of generative models: means of what each sample has, distances between samples and data."""
