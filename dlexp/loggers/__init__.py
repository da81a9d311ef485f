"""Trackers that a run reports to."""
