"""Where a study is kept, and who works on it."""
