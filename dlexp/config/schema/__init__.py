"""The keys of a configuration: types, ranges, help."""
