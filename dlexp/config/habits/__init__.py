"""Names, values and spellings that people bring from other tools, and what to type in their place."""
