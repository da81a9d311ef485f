"""Timers and memory probes around the engine."""
