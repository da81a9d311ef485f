"""Small HTML tables for notebooks, and what a notebook is."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from dlexp.report.number_format import number

_FEW = 4  # metrics in a short description
_CELL = "padding:1px 12px 1px 0;text-align:left"


def notebook_table(title: str, rows: Iterable[Sequence[str]], header: Sequence[str] = ()) -> str:
    """A titled table of texts, in the colors and the font of the notebook."""
    head = f"<tr>{''.join(f'<th style={_quoted(_CELL)}>{escape(name)}</th>' for name in header)}</tr>" if header else ""
    body = "".join(
        f"<tr>{''.join(f'<td style={_quoted(_CELL)}>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<div><b>{escape(title)}</b><table>{head}{body}</table></div>"


def metric_texts(metrics: Mapping[str, float | None]) -> list[tuple[str, str]]:
    """(name, value as text) of the first metrics of each split; a name without a split belongs to the only one."""
    seen: Counter[str] = Counter()
    found = []
    for name, value in metrics.items():
        split = name.partition("/")[0] if "/" in name else ""
        seen[split] += 1
        if seen[split] <= _FEW:
            found.append((name, number(name, value)))
    return found


def in_notebook() -> bool:
    """Whether this is a Jupyter kernel, whose front end shows HTML."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and shell.has_trait("kernel")


def _quoted(style: str) -> str:
    return f'"{style}"'
