"""The texts of the worst mistakes in a report, where the samples are texts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dlexp.data.bundle import DataBundle
from dlexp.metrics.reports.report import Report, Table
from dlexp.text.printable import on_one_line

_NAME = "mistakes"


def with_mistaken_texts(report: Report, bundle: DataBundle) -> Report:
    """`report` whose table of the worst mistakes has the text of each; as it is where the samples are no texts."""
    table = report.tables.get(_NAME)
    if bundle.texts is None or table is None or tuple(table.header[:1]) != ("row",):
        return report
    lines = [list(row) for row in table.rows]
    texts = bundle.texts(np.array([line[0] for line in lines], dtype=np.int64))
    rows = [[*line, on_one_line(text)] for line, text in zip(lines, texts, strict=True)]
    made = Table((*table.header, "text"), rows, table.caption, (*table.labels, "text"))
    return replace(report, tables={**report.tables, _NAME: made})
