"""Optimizers, schedules, parameter groups and freezing."""
