"""`dlexp tune --dashboard`: who is served, from where, and what is said when it cannot be."""

from __future__ import annotations

import os
import signal
import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path

import optuna
import pytest
from refusals import refused

from dlexp.errors import ConfigError
from dlexp.runtime.signals import StopRequest
from dlexp.tune import dashboard
from dlexp.tune.dashboard import serve
from dlexp.tune.storage.journal import Journal

# What optuna-dashboard has and we use: an application made from a storage.
FAKE = """
def wsgi(storage):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [",".join(study.study_name for study in storage.get_all_studies()).encode()]
    return application
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "packages"
    folder.mkdir()
    (folder / "optuna_dashboard.py").write_text(FAKE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(__import__("sys").modules, "optuna_dashboard", raising=False)


def study(folder: Path) -> Path:
    path = folder / "study.journal"
    optuna.create_study(study_name=folder.name, storage=optuna.storages.JournalStorage(Journal(path)))
    return folder


class Visitor:
    """A browser that comes as soon as there is an address, looks, and stops the server with a signal."""

    def __init__(self, host: str | None = None) -> None:
        self.address, self.seen, self._host = "", "", host

    def __call__(self, text: str) -> None:
        self.address = text.split()[0]
        threading.Thread(target=self._visit).start()

    def _visit(self) -> None:
        try:
            request = urllib.request.Request(self.address, headers={"Host": self._host} if self._host else {})
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=60) as answer:
                self.seen = answer.read().decode()
        except urllib.error.HTTPError as error:
            self.seen = f"{error.code} {error.read().decode()}"
        finally:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.usefixtures("package")
def test_a_study_is_served_to_this_machine_until_a_signal(tmp_path: Path) -> None:
    before, visitor = signal.getsignal(signal.SIGTERM), Visitor()
    serve(study(tmp_path / "s1"), None, visitor, StopRequest())
    assert visitor.seen == "s1"
    assert visitor.address.startswith("http://127.0.0.1:")
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.usefixtures("package")
def test_a_port_that_is_taken_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(dashboard, "_PORT", port)
        visitor = Visitor()
        serve(study(tmp_path / "s1"), None, visitor, StopRequest())
        assert visitor.seen == "s1"
        assert str(port) not in visitor.address


@pytest.mark.usefixtures("package")
def test_a_page_that_points_its_own_name_here_gets_nothing(tmp_path: Path) -> None:
    visitor = Visitor("evil.example:8080")
    serve(study(tmp_path / "s1"), None, visitor, StopRequest())
    assert visitor.seen.startswith("403 ")


@pytest.mark.usefixtures("package")
def test_a_storage_is_served_whole_and_a_name_in_it_must_be_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/all.db"
    for name in ("a", "b"):
        optuna.create_study(study_name=name, storage=url)
    visitor = Visitor()
    serve(None, url, visitor, StopRequest())
    assert visitor.seen == "a,b"
    with pytest.raises(ConfigError, match=r"--name=c: .*sqlite:.*all\.db.*a, b") as error:
        serve(tmp_path / "c", url, visitor, StopRequest())
    refused(error.value, "not-found", "--name")


@pytest.mark.usefixtures("package")
def test_a_study_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    study(tmp_path / "s1")
    with pytest.raises(ConfigError) as error:
        serve(tmp_path / "s2", None, print, StopRequest())
    refused(error.value, "not-found", "--name", "s1")
    assert not (tmp_path / "s2").exists()
    with pytest.raises(ConfigError) as error:
        serve(None, None, print, StopRequest())
    refused(error.value, "missing-value", "--dashboard", "--name NAME")


def test_without_the_package_the_way_to_install_it_comes_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as error:
        serve(tmp_path / "s2", "nosuch://", print, StopRequest())
    refused(error.value, "missing-package", "--dashboard", "pip install 'dlexp[dashboard]'")
