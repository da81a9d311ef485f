"""Texts as data: tables and folders of them, and the docstrings of Python's standard library."""
