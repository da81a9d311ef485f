"""What every test gets: one thread, an empty folder to be in, and no DLEXP_* settings of the person who runs it."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from prefork import unrender

from dlexp.config.files.catalog import builtin_root

# Hydra takes a quarter of a second to read the built-in files, of which tests choose the same ones again and again.
_compose: Callable[..., Any] = ConfigLoaderImpl.load_configuration
_composed: dict[tuple[object, ...], bytes] = {}


def _compose_once(loader: ConfigLoaderImpl, *given: Any, **named: Any) -> Any:
    """Hydra's composition, remembered by its words while the built-in files alone are read; every call has a copy."""
    folders = [part.path for part in loader.config_search_path.get_path() if str(part.path).startswith("file:")]
    if folders != [f"file://{builtin_root()}"]:
        return _compose(loader, *given, **named)
    key = (repr(given), repr(sorted(named.items())))
    if key not in _composed:
        _composed[key] = pickle.dumps(_compose(loader, *given, **named))
    return pickle.loads(_composed[key])


@pytest.fixture(autouse=True, scope="session")
def composed_once() -> Iterator[None]:
    """The same choices of built-in options are read from the files once in each process of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConfigLoaderImpl, "load_configuration", _compose_once)
        yield


@pytest.fixture
def composed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of the composition itself: the files are read each time."""
    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", _compose)


@pytest.fixture(autouse=True)
def unrendered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made, but rendered only in tests marked `pictures`: it takes longer than most trainings here."""
    if not request.node.get_closest_marker("pictures"):
        unrender(monkeypatch.setattr)


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


@pytest.fixture(autouse=True, scope="session")
def own_classifiers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Classifiers that judge samples are kept for these tests, and not in the cache of the person who runs them."""
    folder = tmp_path_factory.mktemp("classifiers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dlexp.artifacts.classifier_cache.classifier_folder", lambda: folder)
        yield


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
