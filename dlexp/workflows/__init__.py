"""What each command does; nothing here prints."""
