"""The texts of the worst mistakes in a report, where the samples are texts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dlexp.data.bundle import DataBundle
from dlexp.metrics.reports.report import Report, Table

_LONGEST = 300  # characters of a text in a table
_NAME = "mistakes"


def with_texts(report: Report, bundle: DataBundle) -> Report:
    """`report` whose table of the worst mistakes has the text of each; as it is where the samples are no texts."""
    table = report.tables.get(_NAME)
    if bundle.texts is None or table is None or tuple(table.header[:1]) != ("row",):
        return report
    lines = [list(row) for row in table.rows]
    texts = bundle.texts(np.array([line[0] for line in lines], dtype=np.int64))
    rows = [[*line, _shortened(text)] for line, text in zip(lines, texts, strict=True)]
    made = Table((*table.header, "text"), rows, table.caption, (*table.labels, "text"))
    return replace(report, tables={**report.tables, _NAME: made})


def _shortened(text: str) -> str:
    """The text on one line, cut off where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
