"""The command line. Its package is the first that a `dlexp` process imports, and no other process does."""

import gc

gc.set_threshold(100_000, 20, 20)  # the default collects dozens of times while imports make what stays
