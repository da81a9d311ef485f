"""Run directories, each written by one process.

config.yaml  overrides.yaml  command.txt   the configuration and the command
meta.json  git.diff  env.txt               code, machine and data
status.json                                state and progress
metrics.csv  metrics.jsonl  train.log      history
checkpoints/  plots/  eval/<split>/        results
crash/                                     the step that ended the run, if one failed
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.claims import check_claims, claimed, make_folder, refuse_files
from dlexp.artifacts.files.lock_file import is_locked, lock, open_lock
from dlexp.artifacts.files.new_folder import refuse_occupied
from dlexp.artifacts.files.reading import check_regular, is_file, is_folder, is_there, read_text
from dlexp.artifacts.files.writing import remove_temporaries, write_json
from dlexp.artifacts.runs.elsewhere import is_gone, register, registered, runs_elsewhere
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.artifacts.runs.run_tree import best_job, check_sweep, is_group, is_sweep, members
from dlexp.errors import Code, ConfigError, DlexpError, Interrupted, exit_code_of
from dlexp.text.nearest import misspelled_name
from dlexp.text.quoting import command, shell_word
from dlexp.text.time_format import now_utc, stamp

UNFINISHED = ("running", "interrupted", "failed")
_HEARTBEAT_SECONDS = 10.0
_LEAST_SECONDS = 1.0  # between the heartbeats of two short epochs


def outputs_root() -> Path:
    """The parent of run directories: DLEXP_RUNS_DIR, or outputs/ in the current folder."""
    return Path(os.environ.get("DLEXP_RUNS_DIR") or "outputs")


@dataclass(frozen=True)
class Status:
    """The content of status.json, corrected if the process has ended.

    died  the state is `running` on disk, but the process has ended
    """

    state: str
    epoch: int
    epochs: int
    reason: str
    exit_code: int | None
    died: bool = False


class RunDir:
    """An existing run directory; use `create` for a new run, `find` for an existing one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last_beat, self._last_epoch = (
            0.0,
            -inf,
        )  # times of the last heartbeat, and of the last heartbeat of an epoch
        self._status: dict[str, Any] = {}

    @classmethod
    def create(cls, kind: str, name: str, exact: Path | None) -> RunDir:
        """Create a directory: `exact`, or outputs/<kind>/<time>-<name>-<4hex>.

        Raises ConfigError if `exact` is not empty, DlexpError if the directory cannot be created.
        """
        path = exact or outputs_root() / kind
        if exact is None:
            refuse_files(outputs_root(), path)
        try:
            if exact is not None:
                refuse_occupied(exact)
                make_folder(exact)
                return cls(exact)
            make_folder(path)
            while True:
                fresh = path / f"{stamp()}-{name}-{os.urandom(2).hex()}"
                with suppress(FileExistsError):
                    fresh.mkdir()
                    return cls(fresh)
        except OSError as error:
            raise DlexpError(f"cannot create {path}: {error.strerror}", code="system-error") from error

    @classmethod
    def find(cls, path: Path) -> RunDir:
        """The run at `path`. Raises ConfigError if there is none."""
        try:
            has_config, exists = is_there(path / "config.yaml"), path.exists()
            if has_config:
                check_regular(path / "config.yaml")
        except OSError as error:  # no permission, or an invalid name
            rule = f"cannot be accessed: {error.strerror}"
            raise ConfigError.one(str(path), "", rule, code="system-error") from error
        if not has_config:
            check_sweep(path)
            if is_sweep(path):
                best = best_job(path)
                remedy = "It has no started run." if best is None else f"Name one of its runs, such as {best}"
                raise ConfigError.one(str(path), "", "is a sweep of several runs", remedy, code="incompatible-run")
            if is_group(path):
                remedy = f"Name one of its runs, such as {members(path)[0]}"
                raise ConfigError.one(str(path), "", "is a group of seeds", remedy, code="incompatible-run")
            if is_file(path / "study.json"):
                remedy = f"Train its best trial, and name that run: {command('train', '--from', path)}"
                raise ConfigError.one(str(path), "", "is a study of several trials", remedy, code="incompatible-run")
            what, remedy = missing_run(str(path))
            what = "not a run directory (config.yaml not found)" if exists else what
            raise ConfigError.one(str(path), "", what, remedy, code="not-found")
        return cls(path.resolve() if path.is_symlink() else path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of the directory; the system releases it when the process ends.

        Raises ConfigError that names the owner if another process holds it.
        """
        with open_lock(self.path / ".lock") as file:
            try:
                lock(file.fileno())
            except OSError as error:
                file.seek(0)
                owner = file.read().strip() or "another process"
                rule = f"is in use by {owner}"
                raise ConfigError.one(
                    str(self.path), "", rule, "Wait for it to end, or stop it.", code="in-use"
                ) from error
            file.seek(0)
            before = file.read()
            file.truncate(0)
            print(f"process {os.getpid()} on {os.uname().nodename} since {now_utc()}", file=file, flush=True)
            remove_temporaries(self.path)
            try:
                with claimed(self.path):
                    yield
            except ConfigError:  # a rejected command changes no file
                file.truncate(0)
                print(before, end="", file=file, flush=True)
                raise

    def is_locked(self) -> bool:
        """Return whether a running process holds the lock."""
        return is_locked(self.path / ".lock")

    @contextmanager
    def recording(self, epochs: int) -> Iterator[None]:
        """Write status.json at the start and at the end of the body."""
        previous = read_run_file(self / "status.json") if self._has_status() else {}
        self._status = {
            "state": "running",
            "pid": os.getpid(),
            "host": os.uname().nodename,
            "started": previous.get("started", now_utc()),
            "epoch": previous.get("epoch", 0),
            "epochs": epochs,
            "exit_code": None,
            "reason": "",
        }
        self._write_status()
        try:
            yield
        except BaseException as error:
            stopped = isinstance(error, Interrupted | KeyboardInterrupt)
            self._status |= {
                "state": "interrupted" if stopped else "failed",
                "exit_code": exit_code_of(error),
                "reason": str(error) or type(error).__name__,
            }
            try:
                self._write_status()
            except DlexpError as second:  # keep the first failure visible, e.g. on a full disk
                if str(second) != str(error):
                    error.add_note(str(second))
            raise
        self._status |= {"state": "finished", "exit_code": 0}
        self._write_status()

    def set_exit(self, exit_code: int, reason: str) -> None:
        """Write the exit code of a process that failed after its run had finished; the run stays finished."""
        content = read_run_file(self / "status.json")
        write_json(self / "status.json", {**content, "exit_code": exit_code, "reason": reason})

    def check_whole(self) -> None:
        """Raise DlexpError if the directory, or a file that resuming requires, was deleted since the run started."""
        check_claims(self / "config.yaml")
        folder = str(self.path)
        for name in (".lock", "config.yaml", "meta.json", "status.json"):
            if not os.path.isfile(f"{folder}/{name}"):  # noqa: PTH113 - at the end of every epoch: a third of pathlib's time
                message = f"{self / name} was deleted during training. The run cannot be resumed without it."
                raise DlexpError(message, code="not-found")

    def beat(self, epoch: int | None = None) -> None:
        """Update the heartbeat, at most every 10 seconds, and at the end of epochs at most once per second."""
        now = time.monotonic()
        if epoch is not None:
            self._status["epoch"] = epoch
            is_due = now - self._last_epoch >= _LEAST_SECONDS
            self._last_epoch = now if is_due else self._last_epoch
        else:
            is_due = now - self._last_beat >= _HEARTBEAT_SECONDS
        if is_due:
            self._write_status(durable=False)

    def status(self) -> Status:
        """State and progress of the run; `interrupted` if the process has ended without writing a final state."""
        if not self._has_status():
            is_running, has_begun = self.is_locked(), is_file(self / "status.json")
            reason = "killed before the first epoch"
            return Status("running" if is_running else "interrupted", 0, 0, reason, None, has_begun and not is_running)
        found = {"reason": "", "exit_code": None, **read_run_file(self / "status.json")}
        died = found["state"] == "running" and not self.is_locked()
        if died:
            found |= {
                "state": "interrupted",
                "reason": "the process ended without a final status (killed, or power failure)",
            }
        return Status(found["state"], found["epoch"], found["epochs"], found["reason"], found["exit_code"], died)

    def point_latest(self) -> None:
        """Point the link outputs/latest to this run, unless it is part of a verification."""
        root = outputs_root().resolve()
        here = self.path.resolve()
        if here.is_relative_to(root / "verify"):
            return
        link, temporary = root / "latest", root / f".latest-{os.getpid()}"
        try:
            root.mkdir(parents=True, exist_ok=True)
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(here.relative_to(root) if here.is_relative_to(root) else here)
            temporary.replace(link)
        except OSError:  # a file system without links: write a text file
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            with nullcontext() if here.is_relative_to(root) else suppress(OSError):
                link.write_text(f"{here}\n")

    def list_elsewhere(self, say: Callable[[str], None]) -> None:
        """Register a run outside outputs/ for `dlexp runs`; `say` is called if it cannot be registered."""
        try:
            register(outputs_root(), self.path)
        except (DlexpError, OSError) as error:
            say(f"dlexp runs will not list this run: {error}")

    def _has_status(self) -> bool:
        """Return whether status.json has content; a power failure may leave an empty file."""
        path = self / "status.json"
        return is_there(path) and not (is_file(path) and path.stat().st_size == 0)

    def _write_status(self, durable: bool = True) -> None:
        self._last_beat = time.monotonic()
        write_json(self / "status.json", self._status | {"heartbeat": now_utc()}, durable)


def newest_runs() -> list[Path]:
    """The runs under outputs/ and those of --run-dir, newest first, including the runs of groups and sweeps."""
    root = outputs_root()
    found = [
        path.parent
        for depth in ("train/*", "train/*/*", "sweep/*/*", "compress/*", "compress/*/*")
        for path in root.glob(f"{depth}/config.yaml")
    ]
    found += [path for path in runs_elsewhere(root) if is_file(path / "config.yaml")]
    return sorted(found, key=_modified_at, reverse=True)


def _modified_at(path: Path) -> int:
    """Modification time of a run's config.yaml in nanoseconds; 0 if it cannot be read."""
    try:
        return (path / "config.yaml").stat().st_mtime_ns
    except OSError:
        return 0


def newest_unfinished() -> RunDir:
    """The newest run that is neither finished nor running. Raises ConfigError if there is none."""
    for path in newest_runs():
        run = RunDir(path)
        try:
            state = run.status().state
        except DlexpError as error:  # it may be the intended run
            rule = f"the newest unfinished run cannot be determined: {error}"
            raise ConfigError.one("--resume", "", rule, "Name a run: --resume RUN", code=error.code) from error
        if state in UNFINISHED and not run.is_locked():
            return run
    rule, remedy = f"no unfinished run found in {outputs_root() / 'train'}", "Name a run: --resume RUN"
    if not newest_runs():
        rule, remedy = missing_run("")
    raise ConfigError.one("--resume", "", rule, remedy, code="not-found")


def missing_run(name: str, key: str = "") -> tuple[str, str]:
    """(what is wrong with a name that is none of a run or study, the remedy): the name meant, or how to make a run.

    Args:
        name: The name as given.
        key: `KEY=` of a path, "" for an argument, which may be a name.
    """
    root, found = outputs_root(), newest_runs()
    if is_gone(root, Path(name)):
        remedy = f"Name the new place, or forget it: {command('runs', 'rm', Path(name))}"
        return "is gone: it was moved or deleted", remedy
    others = [path.parent for kind in ("tune/*/study.json", "adapt/*/config.yaml") for path in root.glob(kind)]
    if not found and not others:
        return f"not found; there is no run in {root} yet", "Train one: dlexp train"
    latest = [root / "latest"] if (root / "latest").exists() else []
    named = {path.name: path for path in (*others, *found, *latest)}
    near = misspelled_name(Path(name).name, named)
    if near is not None and near != name:
        return "not found", f"Did you mean {key}{shell_word(str(named[near]) if key else near)}?"
    newest = found[0] if found else others[0]
    return "not found", (
        f"Use {key}{shell_word(str(newest))}, the newest run" if key else f"The newest run is {shell_word(str(newest))}"
    )


def named_run(name: str) -> Path:
    """The directory for `name`: a path, `latest`, or the name of a run or study under outputs/."""
    root = outputs_root()
    for path in (
        Path(name),
        root / name,
        *(root / kind / name for kind in ("train", "tune", "sweep", "adapt", "compress")),
    ):
        if path.name == "latest" and is_file(path):
            return _target_of(path)
        if is_folder(path):
            return path
        if path.name == "latest" and path.is_symlink():
            rule = f"points to {path.resolve()}, which is gone: it was moved or deleted"
            raise ConfigError.one(str(path), "", rule, "Name a run; list them with dlexp runs", code="not-found")
    refuse_files(root)
    same = [path for path in registered(root) if path.name == name and is_folder(path)]
    return same[0] if len(same) == 1 else Path(name)


def _target_of(latest: Path) -> Path:
    """The path in the text file that replaces the link outputs/latest. Raises ConfigError if it cannot be read."""
    try:
        return Path(read_text(latest).strip())
    except (OSError, ValueError) as error:
        code: Code = "system-error" if isinstance(error, OSError) else "corrupted"
        raise ConfigError.one(str(latest), "", f"cannot be read: {error}", "Name the run itself.", code=code) from error
