"""Searches for good values with Optuna: spaces, samplers, studies."""
