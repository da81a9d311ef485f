"""Storage of a study: its own journal, a journal or SQLite file of the user, or a database server.

Operations that must not run concurrently (creating tables, counting trials and asking for another one) are done in
`turn`, a lock that is released when its holder ends: `flock` for a file, an advisory lock of PostgreSQL, a named lock
of MySQL.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import optuna
import sqlalchemy

from dlexp.artifacts.files.writing import read_json, write_json
from dlexp.errors import ConfigError, DlexpError
from dlexp.tune.storage.journal import Journal

# Scheme -> SQLAlchemy's driver name, its package, the command to install it.
_SERVERS = {
    "postgresql": ("postgresql+psycopg", "psycopg", "pip install 'psycopg[binary]'"),
    "postgres": ("postgresql+psycopg", "psycopg", "pip install 'psycopg[binary]'"),
    "mysql": ("mysql+pymysql", "pymysql", "pip install pymysql"),
}
_FORMS = "sqlite:///FILE, journal:///FILE, postgresql://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE"
_SECRET = re.compile(r"([?&][^=&]*(?:pass|pwd|secret|token)[^=&]*=)([^&]*)", re.IGNORECASE)
_WAIT_SECONDS = 60


class StudyStorage:
    """An open storage.

    Attributes:
        records: Optuna's interface to it.
        place: Its file or URL, without a password.
        is_own: Whether it is the journal of the study directory, created on this machine.
    """

    def __init__(self, url: str | None, folder: Path) -> None:
        """Open or create the storage at `url`, None for study.journal in `folder`.

        Raises ConfigError, without passwords, if it cannot be opened or its driver is missing.
        """
        self.place = without_password(url) if url is not None else str(folder / "study.journal")
        self._journal: Journal | None = None
        self._lock_file: Path | None = None
        self._engine: sqlalchemy.Engine | None = None
        self.is_own = False
        scheme, _, rest = (url or "").partition(":")
        if url is None or scheme == "journal":
            path = folder / "study.journal" if url is None else Path(rest.removeprefix("//"))
            if not path.name:
                raise ConfigError.one(
                    "--storage",
                    without_password(url or ""),
                    "requires a file",
                    "Use journal:///FILE",
                    code="invalid-value",
                )
            self._open_journal(path, folder if url is None else None)
        else:
            self._open_database(url)

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """A critical section of all processes that share this storage and `name`."""
        if self._lock_file is not None:
            with self._lock_file.open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        elif self._engine is not None:
            with self._engine.connect() as connection:
                _lock(connection, name)
                yield  # PostgreSQL releases the lock at the end of the transaction or the process
                _unlock(connection, name)
        else:
            yield

    def sync(self) -> None:
        """Flush a journal to disk; databases do so themselves."""
        if self._journal is not None:
            self._journal.sync()

    def _open_journal(self, path: Path, own: Path | None) -> None:
        self._lock_file = path.with_name(f"{path.name}.turn")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self.turn(""):
                is_new = not path.exists()
                self._journal = Journal(path)
                if own is not None:
                    self.is_own = _is_own(path, own, is_new)
            self.records: optuna.storages.BaseStorage = optuna.storages.JournalStorage(self._journal)
        except OSError as error:
            raise ConfigError.one(
                "--storage", path, f"cannot open the storage: {error.strerror}", code="system-error"
            ) from error

    def _open_database(self, url: str) -> None:
        address = _checked(url)
        try:
            parsed = sqlalchemy.make_url(address)
            options: dict[str, Any] = {"pool_pre_ping": True}
            if parsed.get_backend_name() == "sqlite":
                options = {"connect_args": {"timeout": _WAIT_SECONDS}, "poolclass": sqlalchemy.pool.NullPool}
                file = file_of(url, Path())
                if file is not None and file.is_file():
                    _refuse_damaged_sqlite(file)
                if parsed.database and parsed.database != ":memory:":
                    self._lock_file = Path(f"{parsed.database}.turn")
                    self._lock_file.parent.mkdir(parents=True, exist_ok=True)
            else:
                self._engine = sqlalchemy.create_engine(address, poolclass=sqlalchemy.pool.NullPool)
            with self.turn(""):  # Optuna creates its tables in several steps, and fails if two processes do so
                self.records = optuna.storages.RDBStorage(address, engine_kwargs=options)
        except ConfigError:
            raise
        except Exception as error:  # SQLAlchemy and its drivers raise many types
            cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
            # None, since the driver's message may contain the password
            raise ConfigError.one(
                "--storage",
                without_password(url),
                f"cannot open the storage: {_message(cause or error, url)}",
                code="failed",
            ) from None


def file_of(url: str | None, folder: Path) -> Path | None:
    """The file of a storage, None for a server or an invalid URL."""
    if url is None:
        return folder / "study.journal"
    scheme, _, rest = url.partition(":")
    if scheme == "journal":
        return Path(rest.removeprefix("//"))
    if scheme.partition("+")[0] != "sqlite":
        return None
    try:
        name = sqlalchemy.make_url(url).database
    except sqlalchemy.exc.ArgumentError:
        return None
    return Path(name) if name and name != ":memory:" else None


def _refuse_damaged_sqlite(path: Path) -> None:
    """Raise ConfigError for a file that is not a valid SQLite database."""
    engine = sqlalchemy.create_engine("sqlite://", creator=lambda: _read_only(path), poolclass=sqlalchemy.pool.NullPool)
    try:
        with engine.connect() as connection:
            found = str(connection.execute(sqlalchemy.text("PRAGMA quick_check(1)")).scalar())
    except sqlalchemy.exc.SQLAlchemyError as error:
        found = _message(error, "")
    if found != "ok":
        rule = f"is corrupted: {' '.join(found.split())}"
        raise ConfigError.one(
            "--storage", str(path), rule, "Restore the file from a backup, or use another one.", code="corrupted"
        )


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT_SECONDS)


@contextmanager
def failures(url: str | None) -> Iterator[None]:
    """Replace database errors during a study by a DlexpError of one line, without passwords."""
    try:
        yield
    except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
        place, text = without_password(url or "study.journal"), _message(error.__cause__ or error, url or "")
        remedy = "Finished trials are saved. Run the same command again to continue."
        raise DlexpError(f"the storage {place} failed: {text}. {remedy}", code="failed") from None


def without_password(url: str) -> str:
    """A storage URL without its passwords."""
    scheme, mark, rest = url.partition("://")
    account, at, place = rest.rpartition("@")
    if mark and at and ":" in account:
        url = f"{scheme}{mark}{account.partition(':')[0]}:***@{place}"
    return _SECRET.sub(r"\1***", url)


def _checked(url: str) -> str:
    """The URL with the name of the driver. Raises ConfigError for an invalid URL or a missing driver."""
    scheme, mark, rest = url.partition("://")
    dialect, _, driver = scheme.partition("+")
    if not mark or dialect not in ("sqlite", *_SERVERS):
        raise ConfigError.one(
            "--storage", without_password(url), "unknown storage", f"Use {_FORMS}", code="unknown-value"
        )
    if dialect == "sqlite":
        return url
    named, package, install = _SERVERS[dialect]
    if driver:
        named, package, install = scheme, driver, f"pip install {driver}"
    if find_spec(package) is None:
        raise ConfigError.one(
            "--storage",
            without_password(url),
            f"requires the package {package}",
            f"Install it with {install}",
            code="missing-package",
        )
    return f"{named}://{rest}"


def _message(error: BaseException, url: str) -> str:
    """The first line of an error message, without the passwords of `url`."""
    text = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
    line = text.splitlines()[0].replace(url, without_password(url))
    account = url.partition("://")[2].rpartition("@")[0]
    secrets = [account.partition(":")[2], *(found[1] for found in _SECRET.findall(url))]
    for secret in sorted({*secrets, *map(unquote, secrets)} - {""}, key=len, reverse=True):
        line = line.replace(secret, "***")
    return line


def _lock(connection: sqlalchemy.Connection, name: str) -> None:
    key = int.from_bytes(hashlib.sha256(f"dlexp:{name}".encode()).digest()[:7], "big")
    if connection.dialect.name == "postgresql":
        connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        return
    got = connection.execute(sqlalchemy.text("SELECT GET_LOCK(:key, :wait)"), {"key": f"dlexp{key}", "wait": 600})
    if got.scalar() != 1:
        raise DlexpError("the storage has been locked by another process for 10 minutes", code="in-use")


def _unlock(connection: sqlalchemy.Connection, name: str) -> None:
    if connection.dialect.name != "postgresql":  # MySQL releases the lock with the connection
        connection.invalidate()


def _is_own(path: Path, folder: Path, is_new: bool) -> bool:
    """Return whether this machine created the journal; a copy or download has another inode than recorded."""
    marker, status = folder / "study.origin", path.stat()
    identity = {"host": socket.gethostname(), "device": status.st_dev, "inode": status.st_ino}
    if is_new:
        write_json(marker, identity)
    return marker.is_file() and status.st_uid == os.getuid() and read_json(marker) == identity
