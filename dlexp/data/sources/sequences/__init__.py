"""Made-up and read sequences: running text, tagged sentences, sounds."""
