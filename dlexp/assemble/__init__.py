"""A configuration becomes the objects of an experiment."""
