"""Configuration files of the command line (--config), turned into overrides that know their file and line."""
