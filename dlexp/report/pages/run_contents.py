"""The contents of a run for its page, read from its directory; any part may be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Table = tuple[Sequence[str], Sequence[Sequence[str]]]


@dataclass(frozen=True)
class Evaluated:
    """The files of an evaluated split.

    Attributes:
        content: report.json, {} if it cannot be read.
        tables: Name of a CSV file -> (columns, rows).
        pictures: Name of a PNG file -> its bytes.
    """

    split: str
    content: Mapping[str, Any]
    tables: Mapping[str, Table]
    pictures: Mapping[str, bytes]

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Metric name -> value."""
        found = self.content.get("metrics")
        return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True)
class Explained:
    """The files of a method in explain/<method>/.

    Attributes:
        content: explain.json.
        pictures: Name of a PNG file -> its bytes.
    """

    method: str
    content: Mapping[str, Any]
    pictures: Mapping[str, bytes]


@dataclass(frozen=True)
class Configuration:
    """The configuration of a run.

    Attributes:
        choices: (group, default option, option of this run), if they differ.
        changes: (key, default value, value of this run), if they differ.
        values: All keys and values.
        unknown: Why the differences are unknown, "" if they are known.
    """

    choices: Sequence[tuple[str, str, str]] = ()
    changes: Sequence[tuple[str, str, str]] = ()
    values: Sequence[tuple[str, str]] = ()
    unknown: str = ""


@dataclass(frozen=True)
class RunStory:
    """The contents of a run directory.

    Attributes:
        name, place: Of the directory.
        status: state, epoch, epochs, reason.
        summary: summary.json, {} for an unfinished run.
        meta: meta.json.
        command: The command line, "" if unknown.
        columns, rows: metrics.csv.
        pictures: Name -> PNG: curves, curves_narrow for a phone, lr_find, suspected_labels.
        files: (path within the directory, bytes).
        packages: name==version of installed packages.
        problems: Messages about files that could not be read.
        inspected: Name -> PNG of `dlexp inspect`.
        explained: Explanations, by method.
        diagnosis: doctor.json, {} if the run was not examined.
        watched: Findings of doctor.jsonl, made while the run trained.
        samples: Name -> PNG or GIF of samples/: epoch_N for the last epoch with one, animation, and those of
            `dlexp sample`.
        compression: compress.json, {} if the run is no compression of another.
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
    inspected: Mapping[str, bytes] = field(default_factory=dict)
    explained: Sequence[Explained] = ()
    diagnosis: Mapping[str, Any] = field(default_factory=dict)
    watched: Sequence[Mapping[str, Any]] = ()
    samples: Mapping[str, bytes] = field(default_factory=dict)
    compression: Mapping[str, Any] = field(default_factory=dict)

    @property
    def monitor(self) -> str:
        """The monitored metric; "" if unknown."""
        return str(self.summary.get("monitor") or "")

    def curve(self, column: str) -> list[tuple[int, float]]:
        """(epoch, value) of a column, without empty and non-finite values."""
        found = []
        for row in self.rows:
            try:
                epoch, value = int(row["epoch"]), float(row.get(column) or "nan")
            except (KeyError, ValueError):
                continue
            if value - value == 0:
                found.append((epoch, value))
        return found
