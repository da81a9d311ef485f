"""Serves a study to a browser on this machine with optuna-dashboard."""

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
from dlexp.tune.storage.backends import StudyStorage, file_of, without_password
from dlexp.tune.storage.journal import Journal

_HOST, _PORT = "127.0.0.1", 8080
_POLL_SECONDS = 0.2


def require_package() -> None:
    """Raise ConfigError if optuna-dashboard is not installed."""
    if find_spec("optuna_dashboard") is None:
        raise ConfigError.one(
            "--dashboard",
            "",
            "requires the package optuna-dashboard",
            "Install it with pip install 'dlexp[dashboard]'",
            code="missing-package",
        )


def serve(folder: Path | None, storage: str | None, say: Callable[[str], None], stop: StopRequest) -> None:
    """Serve the study in `folder`, or the studies of `storage`, until `stop`.

    Args:
        folder: The directory of the study, None for all studies of the storage.
        storage: The URL of the storage, None for that of `folder`.
        say: Receives the address.
        stop: The stop request.

    Raises:
        ConfigError: optuna-dashboard is not installed, or the study does not exist.
    """
    require_package()
    records = _records(folder, storage)
    server = _listening(_only_here(import_module("optuna_dashboard").wsgi(records)))
    with server, stop:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": _POLL_SECONDS}, daemon=True)
        thread.start()
        say(f"http://{_HOST}:{server.server_port}/  (press Ctrl-C to stop)")
        while not stop and thread.is_alive():
            thread.join(_POLL_SECONDS)
        server.shutdown()


def _records(folder: Path | None, storage: str | None) -> optuna.storages.BaseStorage:
    name = folder.name if folder is not None else None
    if storage is not None:
        file = file_of(storage, folder or Path())
        if file is not None and not file.is_file():
            raise ConfigError.one("--storage", without_password(storage), "not found", "", code="not-found")
        found = StudyStorage(storage, folder or Path()).records
        known = sorted(study.study_name for study in optuna.get_all_study_summaries(found, include_best_trial=False))
        if name is not None and name not in known:
            rule = f"study not found in {without_password(storage)}, which has {', '.join(known) or 'none'}"
            raise ConfigError.one("--name", name, rule, code="not-found")
        return found
    if folder is None:
        raise ConfigError.one(
            "--dashboard", "", "requires a study", "Add --name NAME or --storage URL", code="missing-value"
        )
    path = folder / "study.journal"
    if not path.is_file():
        others = sorted(other.parent.name for other in folder.parent.glob("*/study.journal"))
        rule = f"study not found: {path} does not exist"
        raise ConfigError.one(
            "--name", name, rule, f"Existing studies: {', '.join(others)}." if others else "", code="not-found"
        )
    return optuna.storages.JournalStorage(Journal(path))


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A server with a thread per request."""

    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a browser sends a request every few seconds."""


def _listening(application: Any) -> WSGIServer:
    """A server at the default port of the dashboard, or at a free one if it is taken."""
    try:
        return make_server(_HOST, _PORT, application, _Server, _Silent)
    except OSError:
        return make_server(_HOST, 0, application, _Server, _Silent)


def _only_here(application: Any) -> Any:
    """Refuse requests for other host names, to prevent DNS rebinding attacks."""

    def checked(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        host = str(environ.get("HTTP_HOST", "")).rpartition(":")[0]
        if host in (_HOST, "localhost"):
            answer: Iterable[bytes] = application(environ, start_response)
            return answer
        start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"This server answers to 127.0.0.1 and localhost only.\n"]

    return checked
