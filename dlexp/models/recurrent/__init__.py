"""Networks that read a sequence step by step, and keep a state."""
