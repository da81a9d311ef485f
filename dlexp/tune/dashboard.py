"""A study in a browser: optuna-dashboard, served to this machine alone until it is told to stop."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna

from dlexp.errors import ConfigError
from dlexp.runtime.signals import StopRequest
from dlexp.tune.storage.backends import Store, file_of, masked
from dlexp.tune.storage.journal import Journal

_HOST, _PORT = "127.0.0.1", 8080
_POLL_SECONDS = 0.2


def require_package() -> None:
    """Raise ConfigError with the way to install it when optuna-dashboard is not there."""
    if find_spec("optuna_dashboard") is None:
        raise ConfigError.one(
            "--dashboard", "", "needs optuna-dashboard", "pip install 'dlexp[dashboard]'", code="missing-package"
        )


def serve(folder: Path | None, storage: str | None, say: Callable[[str], None], stop: StopRequest) -> None:
    """Show the study in `folder`, or those of `storage` when it is given, until `stop`; `say` gets the address.

    Raises ConfigError when optuna-dashboard is not installed or there is no such study.
    """
    require_package()
    records = _records(folder, storage)
    server = _listening(_only_here(import_module("optuna_dashboard").wsgi(records)))
    with server, stop:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": _POLL_SECONDS}, daemon=True)
        thread.start()
        say(f"http://{_HOST}:{server.server_port}/  (Ctrl-C ends it)")
        while not stop and thread.is_alive():
            thread.join(_POLL_SECONDS)
        server.shutdown()


def _records(folder: Path | None, storage: str | None) -> optuna.storages.BaseStorage:
    name = folder.name if folder is not None else None
    if storage is not None:
        file = file_of(storage, folder or Path())
        if file is not None and not file.is_file():
            raise ConfigError.one(
                "--storage", masked(storage), "not found: a dashboard shows what is there", "", code="not-found"
            )
        found = Store(storage, folder or Path()).records
        known = sorted(study.study_name for study in optuna.get_all_study_summaries(found, include_best_trial=False))
        if name is not None and name not in known:
            rule = f"is no study of {masked(storage)}; it has {', '.join(known) or 'none'}"
            raise ConfigError.one("--name", name, rule, code="not-found")
        return found
    if folder is None:
        raise ConfigError.one(
            "--dashboard", "", "needs to know which study", "add --name NAME or --storage URL", code="missing-value"
        )
    path = folder / "study.journal"
    if not path.is_file():
        others = sorted(other.parent.name for other in folder.parent.glob("*/study.journal"))
        rule = f"is no study: there is no {path}"
        raise ConfigError.one(
            "--name", name, rule, f"the studies here are {', '.join(others)}" if others else "", code="not-found"
        )
    return optuna.storages.JournalStorage(Journal(path))


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread for each request, so that a slow one holds up no other."""

    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a browser asks every few seconds."""


def _listening(application: Any) -> WSGIServer:
    """A server at the usual port of the dashboard, or at a free one where that is taken."""
    try:
        return make_server(_HOST, _PORT, application, _Server, _Silent)
    except OSError:
        return make_server(_HOST, 0, application, _Server, _Silent)


def _only_here(application: Any) -> Any:
    """Refuse requests under another host's name: a web page elsewhere may point its own name at this machine."""

    def checked(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        host = str(environ.get("HTTP_HOST", "")).rpartition(":")[0]
        if host in (_HOST, "localhost"):
            answer: Iterable[bytes] = application(environ, start_response)
            return answer
        start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"This server answers to 127.0.0.1 and localhost only.\n"]

    return checked
