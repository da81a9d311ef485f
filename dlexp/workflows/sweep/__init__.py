"""`dlexp train --multirun`."""
