"""Output of the commands that show what there is and train nothing."""
