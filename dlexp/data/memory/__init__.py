"""Data handed over in Python: DataFrames and arrays in place of files."""
