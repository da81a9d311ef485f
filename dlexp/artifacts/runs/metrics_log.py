"""metrics.csv (one row per epoch, fixed columns), metrics.jsonl (every record) and train.log (text)."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.reading import is_there, read_bytes
from dlexp.artifacts.files.writing import append_text, csv_line, write_csv, write_text
from dlexp.errors import Code, DlexpError
from dlexp.text.printable import printable
from dlexp.text.time_format import now_utc

_WHOLE = ("epoch", "step")


_WAIT_SECONDS = 1.0  # at most, of a record of a step before it is written


class MetricsLog:
    """The metrics of one run on disk. An epoch that is repeated after a kill replaces its old rows.

    Records of steps are written with the next one that is a second younger, with that of their epoch, or by `flush`: a
    write for each would take as long as many a step. Flush before a checkpoint within an epoch, or after the last step.
    """

    def __init__(self, folder: Path) -> None:
        self._csv, self._jsonl, self._log = (folder / name for name in ("metrics.csv", "metrics.jsonl", "train.log"))
        self._columns: list[str] = []
        self._started: set[Path] = set()  # files that this process has written to
        self._waiting: list[str] = []  # lines of metrics.jsonl
        self._flushed = -inf  # time of the last write of metrics.jsonl

    def rewind(self, epoch: int, step: int) -> None:
        """Remove epochs after `epoch` and steps after `step`, and truncated last lines."""
        self.flush()
        header, rows = read_metrics(self._csv)
        if header:
            self._columns = header
            write_csv(self._csv, header, [list(row.values()) for row in rows if int(row["epoch"]) <= epoch])
        if is_there(self._jsonl):
            lines = [line for line in _lines(self._jsonl) if _belongs(line, epoch, step)]
            write_text(self._jsonl, "".join(f"{line}\n" for line in lines))

    def epoch(self, values: Mapping[str, float | int]) -> None:
        """Append the row of an epoch. The first row fixes the columns; ValueError for a later name not among them."""
        if not self._columns:
            self._columns = list(values)
            write_csv(self._csv, self._columns, [])
        unknown = set(values) - set(self._columns)
        if unknown:
            raise ValueError(f"metrics.csv has the columns {self._columns}; unknown columns {sorted(unknown)}")
        append_text(self._csv, csv_line([values.get(name, "") for name in self._columns]), create=False)
        self._waiting.append(_json_line({"kind": "epoch", **values}))
        self.flush()

    def step(self, values: Mapping[str, float | int]) -> None:
        """Append the record of a step to metrics.jsonl, within a second of training."""
        self._waiting.append(_json_line({"kind": "step", **values}))
        if time.monotonic() - self._flushed >= _WAIT_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the records that wait."""
        lines, self._waiting = self._waiting, []
        self._flushed = time.monotonic()
        if lines:
            self._append(self._jsonl, "".join(lines))

    def say(self, text: str) -> None:
        """Append a line to train.log, with control characters escaped."""
        self._append(self._log, f"{now_utc()} {printable(text)}\n")

    def _append(self, path: Path, text: str) -> None:
        append_text(path, text, create=path not in self._started)
        self._started.add(path)


def _json_line(record: Mapping[str, Any]) -> str:
    clean = {key: None if isinstance(value, float) and value - value != 0 else value for key, value in record.items()}
    return json.dumps(clean) + "\n"


def read_metrics(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """(columns, rows) of a metrics.csv, without a truncated last line; ([], []) if there is none yet.

    Every cell is a number or empty, `epoch` and `step` are integers. Raises DlexpError that names the file and line.
    """
    if not is_there(path):
        return [], []
    try:
        text = read_bytes(path).decode()
        # A last line without line break may be truncated within a number, which would still parse.
        lines: Sequence[list[str]] = list(csv.reader(text[: text.rfind("\n") + 1].splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        code: Code = "system-error" if isinstance(error, OSError) else "corrupted"
        raise DlexpError(f"{path} cannot be read: {reason}", code=code) from error
    if not lines:
        return [], []
    header = lines[0]
    if header[:1] != ["epoch"] or len(set(header)) < len(header):
        rule = "its first line must name each column once, starting with epoch"
        raise DlexpError(f"{path} cannot be read: {rule}", code="corrupted")
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if len(line) == len(header) and line[0].isdecimal():
            rows.append(dict(zip(header, line, strict=True)))
            _refuse_other_than_numbers(path, number, rows[-1])
    return header, rows


def _refuse_other_than_numbers(path: Path, line: int, row: Mapping[str, str]) -> None:
    for column, text in row.items():
        try:
            (int if column in _WHOLE else float)(text or 0)
        except ValueError as error:
            rule = f"must be a{'n integer' if column in _WHOLE else ' number'}, got {text[:40]!r}"
            message = f"{path} cannot be read: line {line}, column {column!r} {rule}"
            raise DlexpError(message, code="corrupted") from error


def _belongs(line: str, epoch: int, step: int) -> bool:
    try:
        record = json.loads(line)
        return bool(record["epoch"] <= epoch) if record.get("kind") == "epoch" else bool(record["step"] <= step)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):  # truncated, or another format
        return False


def _lines(path: Path) -> list[str]:
    try:
        return read_bytes(path).decode(errors="replace").splitlines()
    except OSError as error:
        raise DlexpError(f"{path} cannot be read: {error.strerror}", code="system-error") from error
