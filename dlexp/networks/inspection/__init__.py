"""What a network holds and computes, looked at without changing it."""
