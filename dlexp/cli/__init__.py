"""The command line. Imported first by every `dlexp` process, and by no other process."""

import atexit
import gc
import sys

gc.set_threshold(100_000, 20, 20)  # the default collects dozens of times while imports create long-lived objects


@atexit.register  # first, so that it runs last
def _skip_final_collection() -> None:
    """Exclude all objects from the garbage collection at exit; the operating system frees the memory.

    That collection takes a tenth of the time of `--help`, and a third of a second once torch is loaded. It is kept when
    torch's compiler is loaded: nanobind reports every object that is not collected as a leak.
    """
    if "triton" not in sys.modules:
        gc.freeze()
