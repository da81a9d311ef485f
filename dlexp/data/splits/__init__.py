"""Splits by group, by time and by what the data says: no group in two splits, no test row before a training row."""
