"""Results as text, tables and live displays; nothing here parses a command line."""
