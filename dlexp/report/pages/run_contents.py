"""What a page tells of one run, as it was read from the run's directory; anything may be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Table = tuple[Sequence[str], Sequence[Sequence[str]]]


@dataclass(frozen=True)
class Evaluated:
    """What `dlexp evaluate` left of one split.

    content   report.json, {} where it cannot be read
    tables    name of a CSV file -> (columns, rows)
    pictures  name of a PNG file -> its bytes
    """

    split: str
    content: Mapping[str, Any]
    tables: Mapping[str, Table]
    pictures: Mapping[str, bytes]

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Name -> value."""
        found = self.content.get("metrics")
        return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True)
class Configuration:
    """What was asked for.

    choices  (group, option of the default run, option of this one), where they differ
    changes  (key, value of the files, value of this run), where they differ
    values   every key and its value
    unknown  why choices and changes cannot be told, "" where they can
    """

    choices: Sequence[tuple[str, str, str]] = ()
    changes: Sequence[tuple[str, str, str]] = ()
    values: Sequence[tuple[str, str]] = ()
    unknown: str = ""


@dataclass(frozen=True)
class RunStory:
    """One run.

    name, place  of its directory
    status       state, epoch, epochs, reason
    summary      summary.json, {} where the run has not come so far
    meta         meta.json
    command      the line that was typed, "" where none was
    columns, rows  metrics.csv
    pictures     name -> PNG: curves, lr_find
    files        (path within the directory, bytes)
    packages     name==version, as installed then
    problems     what could not be read, in sentences
    """

    name: str
    place: str
    status: Mapping[str, Any]
    summary: Mapping[str, Any]
    meta: Mapping[str, Any]
    command: str
    configuration: Configuration
    columns: Sequence[str]
    rows: Sequence[Mapping[str, str]]
    pictures: Mapping[str, bytes]
    evaluated: Sequence[Evaluated]
    files: Sequence[tuple[str, int]]
    packages: Sequence[str]
    problems: Sequence[str]

    @property
    def monitor(self) -> str:
        """The metric that decides; "" where it is not known yet."""
        return str(self.summary.get("monitor") or "")

    def curve(self, column: str) -> list[tuple[int, float]]:
        """(epoch, value) of a column, without what is empty or no finite number."""
        found = []
        for row in self.rows:
            try:
                epoch, value = int(row["epoch"]), float(row.get(column) or "nan")
            except (KeyError, ValueError):
                continue
            if value - value == 0:
                found.append((epoch, value))
        return found
