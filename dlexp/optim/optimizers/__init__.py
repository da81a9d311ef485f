"""Optimizers, those of torch and others."""
