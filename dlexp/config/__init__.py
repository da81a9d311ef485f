"""What can be done with a configuration: composed, checked, saved, derived, explained, searched."""
