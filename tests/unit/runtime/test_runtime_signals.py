from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from dlexp.runtime.signals import NeverStop, StopRequest, in_another_program

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGHUP, 75)]
TWICE = """
import os, signal, sys
from dlexp.runtime.signals import StopRequest
number = int(sys.argv[1])
with StopRequest() as stop:
    os.kill(os.getpid(), signal.SIGTERM)
    print("first noticed" if stop else "first missed", flush=True)
    os.kill(os.getpid(), number)
    print("still here", flush=True)
"""


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_sets_a_flag_and_the_exit_code(number: signal.Signals, code: int) -> None:
    with StopRequest() as stop:
        assert not stop
        assert (stop.name, stop.exit_code) == ("", 0)
        os.kill(os.getpid(), number)
        assert stop
        assert (stop.name, stop.exit_code) == (number.name, code)


def test_the_handlers_that_were_there_come_back() -> None:
    def own(number: int, frame: object) -> None:
        raise AssertionError

    before = {number: signal.signal(number, own) for number, _ in SIGNALS}
    try:
        with pytest.raises(ValueError, match="inside"), StopRequest():
            assert all(signal.getsignal(number) is not own for number, _ in SIGNALS)
            raise ValueError("inside")
        assert all(signal.getsignal(number) is own for number, _ in SIGNALS)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_the_process_at_once(number: signal.Signals) -> None:
    done = subprocess.run([sys.executable, "-c", TWICE, str(int(number))], capture_output=True, text=True, check=False)
    assert done.stdout == "first noticed\n"
    assert done.returncode == 128 + number


def test_a_terminal_that_closes_sends_sighup_more_than_once() -> None:
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)
        assert (stop.name, stop.exit_code) == ("SIGHUP", 75)


def test_sighup_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_never_stop_leaves_the_handlers_alone() -> None:
    before = [signal.getsignal(number) for number, _ in SIGNALS]
    with NeverStop() as stop:
        assert [signal.getsignal(number) for number, _ in SIGNALS] == before
        assert not stop
    assert [signal.getsignal(number) for number, _ in SIGNALS] == before


def test_in_another_program_a_second_ctrl_c_raises_keyboard_interrupt() -> None:
    before = signal.getsignal(signal.SIGINT)
    with in_another_program(), pytest.raises(KeyboardInterrupt), StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_program_its_own_handlers_stay() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        with in_another_program(), StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            assert not stop
        assert received == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_a_thread_of_another_program_no_handler_is_installed() -> None:
    found: list[object] = []

    def work() -> None:
        with in_another_program(), StopRequest() as stop:
            found.append(bool(stop))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
