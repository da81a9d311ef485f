"""`trainer.compile=step`: an update as one compiled graph, made of what the eager update computes."""
