"""Checks of a configuration: is it valid, and do its parts fit together?"""
