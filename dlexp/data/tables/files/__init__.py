"""Files of tables: their form, which is detected from their content, and their readers."""
