"""What every test gets: one thread, an empty folder to be in, and no DLEXP_* settings of the person who runs it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Background jobs have SIGINT ignored, those of nohup SIGHUP, and processes started here would inherit that."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Sums come out the same on every machine, and tests that run side by side do not slow each other."""
    before, variable = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # what trainer.threads=auto takes, and what processes started here read
    yield
    torch.set_num_threads(before)
    if variable is None:
        del os.environ["OMP_NUM_THREADS"]
    else:
        os.environ["OMP_NUM_THREADS"] = variable


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written into the repository, and nobody's environment decides a test."""
    for name in [name for name in os.environ if name.startswith("DLEXP_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many inputs the tests of bad input generated: a promise that nobody counts is none."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "generated" and report.when == "call":
                terminalreporter.write_line(str(value))
