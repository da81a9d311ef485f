"""A display that cannot write: training goes on, and a closed pipe is a request to stop."""

from __future__ import annotations

import errno
import os

import pytest

from dlexp.runtime.signals import StopRequest
from dlexp.workflows.reporter import Silent, unbroken


class Broken(Silent):
    def __init__(self, number: int) -> None:
        self.number, self.calls = number, 0

    def say(self, text: str) -> None:
        self.calls += 1
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(
    ("number", "name", "code"), [(errno.EPIPE, "SIGPIPE", 141), (errno.EIO, "", 0), (errno.ENOSPC, "", 0)]
)
def test_a_write_that_fails_silences_the_display(number: int, name: str, code: int) -> None:
    stop, broken = StopRequest(), Broken(number)
    reporter = unbroken(broken, stop)
    reporter.say("one")
    reporter.say("two")
    reporter.end()
    assert broken.calls == 1
    assert (stop.name, stop.exit_code) == (name, code)
