"""The command line. Its package is the first that a `dlexp` process imports, and no other process does."""

import atexit
import gc
import sys

gc.set_threshold(100_000, 20, 20)  # the default collects dozens of times while imports make what stays


@atexit.register  # first, so that it runs last
def _leave_the_rest() -> None:
    """The end of a process frees its memory as a whole, and Python need not look for circles in what is left.

    That takes a tenth of the time of help, and a third of a second once torch is loaded. Not so beside torch's
    compiler: nanobind, which it is built with, would tell of everything that is left.
    """
    if "triton" not in sys.modules:
        gc.freeze()
