"""The command line. Its package is the first that a `dlexp` process imports, and no other process does."""

import atexit
import gc

gc.set_threshold(100_000, 20, 20)  # the default collects dozens of times while imports make what stays
# The end of a process frees its memory as a whole. Python would first look for circles in all that is left, which takes
# a tenth of the time of help, and a third of a second once torch is loaded. Registered first, so it runs last.
atexit.register(gc.freeze)
