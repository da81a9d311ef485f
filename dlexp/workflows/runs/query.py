"""The workflow `dlexp runs`: finds, filters and sorts the runs in outputs/, without importing torch."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.reading import is_file
from dlexp.artifacts.runs.elsewhere import runs_elsewhere
from dlexp.artifacts.runs.run_dir import RunDir, Status, outputs_root
from dlexp.artifacts.runs.run_files import read_run_file, with_keys
from dlexp.artifacts.runs.run_tree import MARKS, directories, size_of
from dlexp.config.schema.tree import ABSENT, leaves, shown, value_at
from dlexp.errors import ConfigError, DlexpError
from dlexp.text.quoting import command
from dlexp.workflows.run_record.read import DIED, SPLITS, RunSummary, read_run_summary
from dlexp.workflows.runs.index import RunIndex, scan

STATES = ("running", "finished", "failed", "interrupted", DIED)
OWN = ("name", "kind", "state", "age", "data", "model", "seed", "epoch", "epochs", "seconds", "size", "parameters")
_MORE = ("path", "reason", "started", "monitor")
_FINAL = ("finished", "failed", "interrupted")
_ORDER = (
    *("name", "path", "kind", "state", "reason", "started", "age", "data", "model", "seed", "epoch", "epochs"),
    *("seconds", "parameters", "monitor"),
)  # facts of a run
_OF_NOW = ("name", "path", "age")  # those that depend on its place and on the time
_WORD = re.compile(r"([A-Za-z_][\w./-]*?(?:\[[^\]]*\])?)\s*(<=|>=|!=|==|=|<|>)\s*(.*)", re.DOTALL)
_UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_METRIC_COLUMNS = 4


@dataclass(frozen=True)
class Row:
    """A run, a study or a range test.

    Attributes:
        facts: Name -> value, None if not applicable to this kind.
        metrics: split/name -> value.
        directions: split/name -> min or max.
        run: The run, None for another kind.
        known_size: Size on disk in bytes, None if it is yet to be found.
    """

    path: Path
    facts: Mapping[str, Any]
    metrics: Mapping[str, float]
    directions: Mapping[str, str]
    run: RunSummary | None = None
    known_size: int | None = None

    @cached_property
    def size(self) -> int:
        """Size on disk in bytes."""
        return size_of(self.path) if self.known_size is None else self.known_size

    def value(self, key: str) -> Any:
        """A fact, metric, option (`model`) or configuration value (`optim.lr`); ABSENT if it does not exist."""
        if key == "size":
            return self.size
        if key in self.facts:
            return self.facts[key]
        if key in self.metrics:
            return self.metrics[key]
        if self.run is None:
            return ABSENT
        return self.run.choices[key] if key in self.run.choices else value_at(self.run.config, key)

    def known(self) -> Iterator[str]:
        """All keys that `value` accepts."""
        yield from (*self.facts, "size", *self.metrics)
        if self.run is not None:
            yield from self.run.choices
            yield from (key for key, _ in leaves(self.run.config))

    def as_dict(self) -> dict[str, Any]:
        """The row as plain values, for JSON."""
        options = dict(self.run.choices) if self.run is not None else {}
        return {**self.facts, "size": self.size, "metrics": dict(self.metrics), "options": options}


@dataclass(frozen=True)
class RunList:
    """The rows, and the invalid directories with their errors."""

    rows: Sequence[Row]
    broken: Sequence[tuple[Path, str]]


def find_runs(kinds: Iterable[str] = ("train",), root: Path | None = None) -> RunList:
    """All directories of these kinds in outputs/, newest first."""
    rows: list[Row] = []
    broken: list[tuple[Path, str]] = []
    for kind in kinds:
        base = root or outputs_root()
        there = list(directories(base, kind))
        index = None
        if kind == "train":
            if away := runs_elsewhere(base):
                seen = {path.resolve() for path in there}
                there += [path for path in away if path.resolve() not in seen]
            index = RunIndex(base)
        whole, others = rows_of(there, kind, index)
        if index is not None:
            index.write()
        rows, broken = [*rows, *whole], [*broken, *others]
    rows.sort(key=lambda row: (row.facts["age"], str(row.path)))
    return RunList(rows, sorted(broken))


def rows_of(
    paths: Iterable[Path], kind: str, index: RunIndex | None = None
) -> tuple[list[Row], list[tuple[Path, str]]]:
    """(a row for each valid directory of `kind`, the other directories with their errors).

    index  what is kept of runs whose files are the same, None to read them all
    """
    rows, broken = [], []
    for path in paths:
        try:
            rows.append(read_row(path, kind) if index is None else _indexed_row(path, index))
        except Exception as error:  # an invalid directory must not prevent listing the others
            broken.append((path, _what_is_wrong(path, kind, error)))
    return rows, broken


def read_row(path: Path, kind: str) -> Row:
    """The row of one directory. Raises DlexpError if it is invalid or cannot be read."""
    try:
        if not (path / MARKS[kind]).is_file():
            raise DlexpError(f"{path / MARKS[kind]} not found", code="not-found")
    except OSError as error:
        raise DlexpError(f"cannot read {path}: {error.strerror}", code="system-error") from error
    return _run_row(read_run_summary(path)) if kind == "train" else _other_row(path, kind)


def _indexed_row(path: Path, index: RunIndex) -> Row:
    """The row of a run, of what the index keeps if none of its files has changed. Raises DlexpError as `read_row`."""
    kept = index.get(path)
    if kept is not None:
        size, (facts, metrics, status, ways, choices) = kept
        return Row(path, _facts(path, facts), metrics, ways, RunSummary(path, choices, Status(**status)), size)
    scanned = scan(path)
    row = replace(read_row(path, "train"), known_size=scanned.size)
    if row.run is not None and row.path == path and row.facts["state"] in _FINAL:
        facts = {key: value for key, value in row.facts.items() if key not in _OF_NOW}
        index.put(path, scanned, (facts, row.metrics, asdict(row.run.status)), (row.directions, row.run.choices))
    return row


def where(rows: Sequence[Row], conditions: Sequence[str]) -> list[Row]:
    """The rows that meet all conditions, such as `optim.lr<1e-3`, `model=mlp` or `val/accuracy>=0.9`.

    Raises ConfigError for an invalid condition or a key that no row has.
    """
    for condition in conditions:
        match = _WORD.fullmatch(condition.strip())
        if match is None:
            remedy = "Use, for example, --where 'optim.lr<1e-3', --where model=mlp or --where 'val/accuracy>0.9'"
            raise ConfigError.one(
                "--where", condition, "must compare a key with a value", remedy, code="invalid-syntax"
            )
        key, sign, text = match.groups()
        refuse_unknown("--where", key, rows)
        rows = [row for row in rows if _meets(row, key, sign, text, condition)]
    return list(rows)


def _meets(row: Row, key: str, sign: str, text: str, condition: str) -> bool:
    """Return whether a row meets a condition; own data has two names, that of its file and that of its option."""
    values = [row.value(key)]
    if key == "data" and row.run is not None:
        values.append(row.run.choices.get("data", ABSENT))
    found = [_holds(value, sign, text, condition) for value in values]
    return all(found) if sign == "!=" else any(found)


def sort_runs(rows: Sequence[Row], key: str) -> list[Row]:
    """The rows sorted by a key, best first: metrics by their direction, other numbers descending, texts ascending.

    Rows without a value come last. Raises ConfigError for a key that no row has.
    """
    refuse_unknown("--sort", key, rows)
    known = [row for row in rows if row.value(key) not in (ABSENT, None)]
    others = [row for row in rows if row.value(key) in (ABSENT, None)]
    numbers = all(isinstance(row.value(key), int | float) for row in known)
    if not numbers:
        return [*sorted(known, key=lambda row: str(row.value(key))), *others]
    smallest_first = key == "age" or any(row.directions.get(key) == "min" for row in known)
    return [*sorted(known, key=lambda row: row.value(key), reverse=not smallest_first), *others]


def parse_since(rows: Sequence[Row], text: str) -> list[Row]:
    """The rows started within a time such as 30min, 12h, 2d or 1w. Raises ConfigError for an invalid time."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text.strip())
    if match is None or match[2] not in _UNITS:
        raise ConfigError.one(
            "--since",
            text,
            "must be a number followed by s, min, h, d or w",
            "Use, for example, --since 2d",
            code="invalid-syntax",
        )
    return [row for row in rows if row.facts["age"] <= float(match[1]) * _UNITS[match[2]]]


def metric_columns(rows: Sequence[Row]) -> list[str]:
    """The metrics to show: the monitored metric, the first other metric of the task, and the latter on test."""
    found: dict[str, None] = {}
    for row in rows:
        if row.run is None:
            found.update(dict.fromkeys(row.metrics))
            continue
        monitor = row.facts["monitor"]
        validated = (name[4:] for name in row.directions if name.startswith("val/") and name != monitor)
        other = next(validated, None)
        for name in (monitor, *(() if other is None else (f"val/{other}", f"test/{other}"))):
            if name in row.metrics:
                found[name] = None
    return sorted(found, key=lambda name: name.startswith("test/"))[:_METRIC_COLUMNS]


def refuse_unknown(option: str, key: str, rows: Sequence[Row]) -> None:
    """Raise ConfigError, with the closest name, for a key that none of the rows has, unless there are no rows."""
    if not rows or any(row.value(key) is not ABSENT for row in rows):
        return
    from dlexp.config.check.suggest import nearest_path  # here, since it is only needed for an error

    near = nearest_path(key, {name for row in rows for name in row.known()})
    remedy = f"Did you mean {near}?" if near else f"Use, for example, {', '.join(OWN)}, val/loss or optim.lr."
    raise ConfigError.one(option, key, "unknown key", remedy, code="unknown-key")


def finished_where(conditions: Sequence[str]) -> list[Path]:
    """The finished runs that meet all conditions. Raises ConfigError if there are none."""
    rows = where([row for row in find_runs().rows if row.facts["state"] == "finished"], conditions)
    if not rows:
        remedy = f"List runs in other states with {command('runs', '--where', conditions[0])}"
        raise ConfigError.one("--where", " ".join(conditions), "no finished run matches", remedy, code="not-found")
    return [row.path for row in rows]


def _run_row(run: RunSummary) -> Row:
    status = run.status
    kept = {
        "kind": "train",
        "state": status.state,
        "reason": status.reason,
        "started": run.meta["started"],
        "data": run.meta.get("data"),
        "model": run.meta.get("model"),
        "seed": run.seed,
        "epoch": status.epoch,
        "epochs": status.epochs,
        "seconds": run.seconds,
        "parameters": run.meta.get("parameters"),
        "monitor": run.monitor,
    }
    directions = {f"{split}/{name}": way for split in SPLITS for name, way in run.directions.items()}
    return Row(run.path, _facts(run.path, kept), run.metrics, directions, run)


def _facts(path: Path, kept: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a run: `kept`, and those that depend on its place and on the time."""
    name = path.name
    if name.startswith("seed-") and re.fullmatch(r"seed-\d+", name):
        name = f"{path.parent.name}/{name}"
    age = time.time() - datetime.fromisoformat(kept["started"]).timestamp()
    found = {"name": name, "path": str(path), **kept, "age": age}
    return {key: found[key] for key in _ORDER}


def _other_row(path: Path, kind: str) -> Row:
    """A study with the metric of its best trial, or a range test with its suggested learning rate."""
    needs = with_keys("metric", "direction") if kind == "tune" else None
    content = read_run_file(path / MARKS[kind], needs=needs)
    written = (path / MARKS[kind]).stat().st_mtime
    facts = dict.fromkeys((*OWN, *_MORE)) | {"name": path.name, "path": str(path), "kind": kind}
    facts |= {"age": time.time() - written, "started": datetime.fromtimestamp(written).astimezone().isoformat()}
    del facts["size"]
    running = RunDir(path).is_locked()
    if kind == "lr-find":
        rate, names = content.get("suggestion"), {key: content.get(key) for key in ("data", "model", "parameters")}
        facts |= {**names, "state": "running" if running else "finished"}
        return Row(path, facts, {} if rate is None else {"lr": float(rate)}, {})
    best, metric = content.get("best"), str(content["metric"])
    state = "running" if running else "finished" if "reason" in content else "interrupted"
    trials = content.get("trials", {})
    facts |= {"state": state, "monitor": metric, "epoch": trials.get("complete", 0), "epochs": sum(trials.values())}
    way = "max" if content["direction"] == "maximize" else "min"
    return Row(path, facts, {} if best is None else {metric: float(best["value"])}, {metric: way})


def _what_is_wrong(path: Path, kind: str, error: Exception) -> str:
    if not path.exists():
        return f"is gone: it was moved or deleted. Forget it with {command('runs', 'rm', path)}"
    is_hidden = isinstance(error.__cause__, OSError)  # the content of an unreadable directory is unknown
    if not is_file(path / MARKS[kind]) and not is_hidden:
        if RunDir(path).is_locked():
            return "is starting"
        return f"{MARKS[kind]} not found: its start was killed, or it is not a {kind} directory"
    if isinstance(error, DlexpError):
        return str(error)
    return f"cannot read the files: {type(error).__name__}: {error}"


def _holds(value: Any, sign: str, text: str, condition: str) -> bool:
    """Return whether a value meets a comparison with a text; a missing value meets only `!=`."""
    if value is ABSENT:
        return sign == "!="
    number = _number(text)
    if sign in ("=", "==", "!="):
        if isinstance(value, bool) or number is None or not isinstance(value, int | float):
            same = fnmatchcase(shown(value), text.strip())
        else:
            same = float(value) == number
        return same == (sign != "!=")
    if number is None:
        raise ConfigError.one(
            "--where", condition, f"{text!r} must be a number to be compared with {sign}", code="invalid-type"
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return bool({"<": value < number, ">": value > number, "<=": value <= number, ">=": value >= number}[sign])


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
