"""`dlexp runs`: what lies under outputs/, found, chosen, ordered. Prints nothing, loads no torch."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.reading import is_file
from dlexp.artifacts.runs.run_dir import RunDir, outputs_root
from dlexp.artifacts.runs.run_files import read_run_file, with_keys
from dlexp.artifacts.runs.run_tree import MARKS, directories, size_of
from dlexp.config.schema.tree import ABSENT, leaves, shown, value_at
from dlexp.errors import ConfigError, DlexpError
from dlexp.text.quoting import command
from dlexp.workflows.run_record.read import DIED, RunSummary, read_run_summary

STATES = ("running", "finished", "failed", "interrupted", DIED)
OWN = ("name", "kind", "state", "age", "data", "model", "seed", "epoch", "epochs", "seconds", "size", "parameters")
_MORE = ("path", "reason", "started", "monitor")
_WORD = re.compile(r"([A-Za-z_][\w./-]*?)\s*(<=|>=|!=|==|=|<|>)\s*(.*)", re.DOTALL)
_UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_METRIC_COLUMNS = 4


@dataclass(frozen=True)
class Row:
    """One directory: a run, a study or a sweep of the learning rate.

    facts       name -> value of what every kind has, None where this one has it not
    metrics     split/name -> value
    directions  split/name -> min or max
    run         what a run has beyond that, None for another kind
    """

    path: Path
    facts: Mapping[str, Any]
    metrics: Mapping[str, float]
    directions: Mapping[str, str]
    run: RunSummary | None = None

    @cached_property
    def size(self) -> int:
        """Bytes on the disk."""
        return size_of(self.path)

    def value(self, key: str) -> Any:
        """A fact, a metric, an option (`model`) or a value of the configuration (`optim.lr`); ABSENT for none."""
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
        """Everything that `value` knows."""
        yield from (*self.facts, "size", *self.metrics)
        if self.run is not None:
            yield from self.run.choices
            yield from (key for key, _ in leaves(self.run.config))

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        options = dict(self.run.choices) if self.run is not None else {}
        return {**self.facts, "size": self.size, "metrics": dict(self.metrics), "options": options}


@dataclass(frozen=True)
class Found:
    """The rows, and the directories that are no whole one of their kind: path and what is wrong."""

    rows: Sequence[Row]
    broken: Sequence[tuple[Path, str]]


def find(kinds: Iterable[str] = ("train",), root: Path | None = None) -> Found:
    """Everything of these kinds under outputs/, newest first."""
    rows: list[Row] = []
    broken: list[tuple[Path, str]] = []
    for kind in kinds:
        whole, others = rows_of(directories(root or outputs_root(), kind), kind)
        rows, broken = [*rows, *whole], [*broken, *others]
    rows.sort(key=lambda row: (row.facts["age"], str(row.path)))
    return Found(rows, sorted(broken))


def rows_of(paths: Iterable[Path], kind: str) -> tuple[list[Row], list[tuple[Path, str]]]:
    """(a row for each whole directory of `kind`, each other directory with what is wrong)."""
    rows, broken = [], []
    for path in paths:
        try:
            rows.append(read_row(path, kind))
        except Exception as error:  # one directory, whatever is wrong with it, is no reason to list no other
            broken.append((path, _what_is_wrong(path, kind, error)))
    return rows, broken


def read_row(path: Path, kind: str) -> Row:
    """The row of one directory. Raises DlexpError where it is not a whole one, or may not be looked into."""
    try:
        if not (path / MARKS[kind]).is_file():
            raise DlexpError(f"{path} has no {MARKS[kind]}", code="not-found")
    except OSError as error:
        raise DlexpError(f"{path} cannot be looked into: {error.strerror}", code="system-error") from error
    return _run_row(read_run_summary(path)) if kind == "train" else _other_row(path, kind)


def where(rows: Sequence[Row], conditions: Sequence[str]) -> list[Row]:
    """The rows for which every condition holds, such as `optim.lr<1e-3`, `model=mlp` or `val/accuracy>=0.9`.

    Raises ConfigError for a condition that is none, or a key that no row has.
    """
    for condition in conditions:
        match = _WORD.fullmatch(condition.strip())
        if match is None:
            remedy = "such as --where 'optim.lr<1e-3', --where model=mlp or --where 'val/accuracy>0.9'"
            raise ConfigError.one(
                "--where", condition, "is no comparison of a key with a value", remedy, code="invalid-syntax"
            )
        key, sign, text = match.groups()
        refuse_unknown("--where", key, rows)
        rows = [row for row in rows if _holds(row.value(key), sign, text, condition)]
    return list(rows)


def ordered(rows: Sequence[Row], key: str) -> list[Row]:
    """The rows by a key, best first: metrics by their direction, other numbers from the largest, words from a to z.

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


def since(rows: Sequence[Row], text: str) -> list[Row]:
    """The rows that began within 30min, 12h, 2d or 1w. Raises ConfigError for what is no such time."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text.strip())
    if match is None or match[2] not in _UNITS:
        raise ConfigError.one(
            "--since", text, "is a number and s, min, h, d or w", "such as --since 2d", code="invalid-syntax"
        )
    return [row for row in rows if row.facts["age"] <= float(match[1]) * _UNITS[match[2]]]


def metric_columns(rows: Sequence[Row]) -> list[str]:
    """The metrics worth a column: what decides the best epoch, the first other of the task, and that on the test."""
    found: dict[str, None] = {}
    for row in rows:
        if row.run is None:
            found.update(dict.fromkeys(row.metrics))
            continue
        monitor = row.run.monitor
        others = [name for name in row.run.directions if f"val/{name}" != monitor]
        for name in (monitor, *(f"val/{name}" for name in others[:1]), *(f"test/{name}" for name in others[:1])):
            if name in row.metrics:
                found[name] = None
    return sorted(found, key=lambda name: name.startswith("test/"))[:_METRIC_COLUMNS]


def refuse_unknown(option: str, key: str, rows: Sequence[Row]) -> None:
    """Raise ConfigError, with the nearest name, for a key that none of the rows has; without rows nothing is known."""
    if not rows or any(row.value(key) is not ABSENT for row in rows):
        return
    from dlexp.config.check.suggest import nearest_path  # the catalogue of options is read for a mistake alone

    near = nearest_path(key, {name for row in rows for name in row.known()})
    remedy = f"did you mean {near}?" if near else f"such as {', '.join(OWN)}, val/loss or optim.lr"
    raise ConfigError.one(option, key, "is nothing that these runs have", remedy, code="unknown-key")


def finished_where(conditions: Sequence[str]) -> list[Path]:
    """The finished runs for which every condition holds. Raises ConfigError where there are none."""
    rows = where([row for row in find().rows if row.facts["state"] == "finished"], conditions)
    if not rows:
        remedy = f"{command('runs', '--where', conditions[0])} shows those in other states"
        raise ConfigError.one("--where", " ".join(conditions), "holds for no finished run", remedy, code="not-found")
    return [row.path for row in rows]


def _run_row(run: RunSummary) -> Row:
    status, parent = run.status, run.path.parent
    is_member = re.fullmatch(r"seed-\d+", run.path.name) is not None
    facts = {
        "name": f"{parent.name}/{run.path.name}" if is_member else run.path.name,
        "path": str(run.path),
        "kind": "train",
        "state": status.state,
        "reason": status.reason,
        "started": run.meta["started"],
        "age": time.time() - datetime.fromisoformat(run.meta["started"]).timestamp(),
        "data": run.meta.get("data"),
        "model": run.meta.get("model"),
        "seed": run.seed,
        "epoch": status.epoch,
        "epochs": status.epochs,
        "seconds": run.seconds,
        "parameters": run.meta.get("parameters"),
        "monitor": run.monitor,
    }
    directions = {f"{split}/{name}": way for split in ("train", "val", "test") for name, way in run.directions.items()}
    return Row(run.path, facts, run.metrics, directions, run)


def _other_row(path: Path, kind: str) -> Row:
    """A study, by the best of its trials, or a sweep of the learning rate, by the rate it suggests."""
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
    is_hidden = isinstance(error.__cause__, OSError)  # a folder that may not be looked into has no known content
    if not is_file(path / MARKS[kind]) and not is_hidden:
        if RunDir(path).is_locked():
            return "is being started"
        return f"has no {MARKS[kind]}: its start was killed, or it is no {kind} directory"
    if isinstance(error, DlexpError):
        return str(error)
    return f"cannot be read: {type(error).__name__}: {error}"


def _holds(value: Any, sign: str, text: str, condition: str) -> bool:
    """Whether a value compares so with a text; what is not there compares with nothing but by `!=`."""
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
            "--where", condition, f"{text!r} is no number, which {sign} compares with", code="invalid-type"
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return bool({"<": value < number, ">": value > number, "<=": value <= number, ">=": value >= number}[sign])


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
