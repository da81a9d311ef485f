"""Commands that show what there is and train nothing."""
