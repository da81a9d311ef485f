"""The section of a run's page about an evaluated split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlexp.report.number_format import number
from dlexp.report.pages.html import Cell, Html, Section, definition_list, folded, html_table, paragraph, picture
from dlexp.report.pages.run_contents import Evaluated, Table
from dlexp.text.time_format import readable

_MAX_ROWS, _MAX_UNFOLDED = 200, 30


def evaluated_section(found: Evaluated) -> Section:
    """Metrics, tables and figures of a split."""
    parts = [definition_list(_about(found)), *_metrics(found), *_baselines(found)]
    parts += [_table(name, content, found) for name, content in found.tables.items()]
    captions = _mapping(found.content.get("figures"))
    names = [*(n for n in captions if n in found.pictures), *sorted(found.pictures.keys() - captions.keys())]
    for name in names:
        text = str(captions.get(name) or f"{name}.png, a picture of the {found.split} split.")
        parts.append(picture(found.pictures[name], text, text))
    if not found.pictures:
        parts.append(paragraph(f"No figures in eval/{found.split}/."))
    return Section(f"Evaluation on the {found.split} split", tuple(parts))


def _about(found: Evaluated) -> dict[str, object]:
    content = found.content
    pairs = {
        "samples": number("", content.get("samples")),
        "weights": content.get("checkpoint"),
        "evaluated": readable(content.get("evaluated")),
        "evaluations": _times(content.get("split_accesses")),
    }
    return {label: value for label, value in pairs.items() if value not in (None, "-")}


def _times(count: object) -> str | None:
    if not isinstance(count, int):
        return None
    return "once" if count == 1 else f"{count} times"


def _metrics(found: Evaluated) -> list[Html]:
    """All metrics with their intervals, and the reasons for undefined ones."""
    keys = ("intervals", "bootstrap", "undefined", "floors")
    sure, made, why, real = (_mapping(found.content.get(key)) for key in keys)
    columns, caption = ["metric", "value"], f"Metrics on the {found.split} split."
    if real:
        columns.append("real data")
        caption += " Real data: the same figure with real samples in place of those of the model."
    if made:
        columns.append(f"{100 * made['level']:g} % interval" if isinstance(made.get("level"), float) else "interval")
        caption += " Confidence intervals for the choice of the samples; report.json names the method of each."
    numeric = frozenset(columns)
    columns += ["remark"] if why else []
    rows = [
        [
            name,
            number(name, value),
            *([number(name, real[name]) if name in real else ""] if real else ()),
            *([_interval(name, _mapping(sure.get(name)))] if made else ()),
            *([why.get(name)] if why else ()),
        ]
        for name, value in found.metrics.items()
    ]
    return [html_table(caption, columns, rows, numbers=numeric - {"metric"})] if rows else []


def _baselines(found: Evaluated) -> list[Html]:
    """What simple models reach on the split, where the data has such."""
    models = {name: _mapping(values) for name, values in _mapping(found.content.get("baselines")).items()}
    metrics = list(dict.fromkeys(name for values in models.values() for name in values))
    rows = [[name, *(number(metric, values.get(metric)) for metric in metrics)] for name, values in models.items()]
    caption = f"Simple models that read the training split, on the {found.split} split."
    return [html_table(caption, ["model", *metrics], rows, numbers=frozenset(metrics))] if rows else []


def _interval(name: str, interval: Mapping[str, Any]) -> str:
    low, high = interval.get("low"), interval.get("high")
    return "" if low is None or high is None else f"{number(name, low)} to {number(name, high)}"


def _mapping(value: object) -> Mapping[str, Any]:
    """`value` if it is a mapping, otherwise {}."""
    return value if isinstance(value, Mapping) else {}


def _table(name: str, content: Table, found: Evaluated) -> Html:
    columns, rows = content
    about = _mapping(_mapping(found.content.get("tables")).get(name))
    labels = about.get("labels")
    named = frozenset(labels) if isinstance(labels, list) else frozenset()
    cells = [
        [_cell(column, text, column in named) for column, text in zip(columns, row, strict=True)]
        for row in rows[:_MAX_ROWS]
    ]
    numeric = [column for at, column in enumerate(columns) if any(isinstance(line[at], Cell) for line in cells)]
    caption = str(about.get("caption") or f"{name}.csv of the {found.split} split.")
    if len(rows) > _MAX_ROWS:
        caption += f" First {_MAX_ROWS} rows; see {name}.csv for all."
    made = html_table(f"{caption} Click a heading to sort.", columns, cells, numbers=frozenset(numeric), sortable=True)
    return made if len(rows) <= _MAX_UNFOLDED else folded(f"{caption.rstrip('.')}: {len(rows)} rows", made)


def _cell(column: str, text: str, is_name: bool) -> object:
    """A formatted number sorted by its value; names unchanged, even if they look like numbers."""
    if is_name:
        return text
    try:
        value = float(text)
    except ValueError:
        return text
    return Cell(number(column, int(value) if text.isdigit() else value), value)
