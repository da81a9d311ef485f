"""What a helper process makes of itself: deaf to signals that are meant for its parent, and gone when that is gone."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def become_helper(parent: int, dies_with_it: bool) -> None:
    """Ignore the signals that stop a run, since Ctrl-C and schedulers send them to every process of it.

    parent        the process id of the parent
    dies_with_it  on Linux, be killed as soon as the thread that made this process ends, however it ends; false where
                  that is not the parent's main thread, which ends with the parent
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if dies_with_it and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before that call
            os._exit(1)
