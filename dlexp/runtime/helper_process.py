"""Set-up of helper processes: they ignore the signals meant for their parent and end with it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def become_helper(parent: int, dies_with_it: bool) -> None:
    """Ignore the signals that stop a run; Ctrl-C and schedulers send them to every process of it.

    Args:
        parent: The process id of the parent.
        dies_with_it: On Linux, get killed when the thread that started this process ends. Set it to False if that is
            not the main thread of the parent.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if dies_with_it and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent ended before that call
            os._exit(1)
