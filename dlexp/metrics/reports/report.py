"""The report of an evaluation, of a task of any kind: metrics, their intervals, named tables and named figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dlexp.metrics.bootstrap import Interval
from dlexp.metrics.reports.figures import Figure


@dataclass(frozen=True)
class Table:
    """Rows under a header; they may be made as they are read, and read again.

    caption  shows the table on the page of a run, under these words, in which `{split}` is the split; "" does not
    labels   columns whose cells are names, also where they look like numbers
    """

    header: Sequence[str]
    rows: Iterable[Sequence[Any]]
    caption: str = ""
    labels: Sequence[str] = ()


@dataclass(frozen=True)
class Report:
    """The content of eval/<split>/ of a run.

    metrics    name -> value, None where it is undefined
    undefined  name -> the reason, for each None among the metrics
    intervals  name -> interval, for metrics that have a value; empty where none were wanted
    tables     name -> table, each written as <name>.csv
    figures    name -> figure, each drawn as <name>.png
    facts      more keys of report.json
    notes      what was left out, a sentence each
    """

    metrics: Mapping[str, float | None]
    undefined: Mapping[str, str] = field(default_factory=dict)
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
