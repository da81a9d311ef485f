"""The part of a run's page that tells of one evaluated split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlexp.report.number_format import number
from dlexp.report.pages.html import Cell, Html, Section, facts, folded, paragraph, picture, table
from dlexp.report.pages.run_contents import Evaluated, Table

# name of the file -> what it shows, in the order of the page; others follow by name
_PICTURES = {
    "confusion": "Confusion matrix of the {split} split: rows are the true classes, columns the predicted ones.",
    "confusion_share": "Confusion matrix of the {split} split, as shares of each true class.",
    "mistakes": "The worst mistakes on the {split} split: what was predicted with most certainty and is wrong.",
    "predicted": "Predicted against true values on the {split} split; a perfect prediction lies on the line.",
    "residuals": "What is left between true and predicted values on the {split} split.",
    "reliability": "Reliability on the {split} split: how often the network is right, over how sure it is.",
    "roc": "ROC curves on the {split} split: true positive rate over false positive rate.",
    "pr": "Precision over recall on the {split} split.",
}
_TABLES = {
    "per_class": "Each class of the {split} split.",
    "mistakes": "The worst mistakes on the {split} split, worst first.",
}
_SPLIT = "{split}"
_MAX_ROWS, _MAX_UNFOLDED = 200, 30
_NAMES = {"per_class": ("class",), "mistakes": ("row", "true", "predicted")}


def evaluated_section(found: Evaluated) -> Section:
    """What was measured, its tables and its pictures."""
    parts = [facts(_about(found)), *_metrics(found)]
    parts += [_table(name, found.tables[name], found.split) for name in _TABLES if name in found.tables]
    names = [*(n for n in _PICTURES if n in found.pictures), *sorted(found.pictures.keys() - _PICTURES.keys())]
    parts += [_picture(name, found.pictures[name], found.split) for name in names]
    if not found.pictures:
        parts.append(paragraph(f"eval/{found.split}/ holds no picture."))
    return Section(f"On the {found.split} split", tuple(parts))


def _about(found: Evaluated) -> dict[str, object]:
    content = found.content
    pairs = {
        "samples": number("", content.get("samples")),
        "weights": content.get("checkpoint"),
        "evaluated": content.get("evaluated"),
        "looked at": _times(content.get("looks_at_this_split")),
    }
    return {label: value for label, value in pairs.items() if value not in (None, "-")}


def _times(count: object) -> str | None:
    if not isinstance(count, int):
        return None
    return "once" if count == 1 else f"{count} times"


def _metrics(found: Evaluated) -> list[Html]:
    """Every metric with its interval, and why one has no value."""
    sure, made, why = (_mapping(found.content.get(key)) for key in ("intervals", "bootstrap", "undefined"))
    columns, caption = ["metric", "value"], f"Every metric of the {found.split} split."
    if made:
        columns.append(f"{100 * made['level']:g} % interval" if isinstance(made.get("level"), float) else "interval")
        caption += f" The intervals say how far another choice of samples could lie; {made.get('resamples')} resamples."
    numeric = frozenset(columns)
    columns += ["remark"] if why else []
    rows = [
        [
            name,
            number(name, value),
            *([_interval(name, _mapping(sure.get(name)))] if made else ()),
            *([why.get(name)] if why else ()),
        ]
        for name, value in found.metrics.items()
    ]
    return [table(caption, columns, rows, numbers=numeric - {"metric"})] if rows else []


def _interval(name: str, interval: Mapping[str, Any]) -> str:
    low, high = interval.get("low"), interval.get("high")
    return "" if low is None or high is None else f"{number(name, low)} to {number(name, high)}"


def _mapping(value: object) -> Mapping[str, Any]:
    """`value` where it is one; a report of an older version has none."""
    return value if isinstance(value, Mapping) else {}


def _table(name: str, content: Table, split: str) -> Html:
    columns, rows = content
    cells = [
        [_cell(column, text, column in _NAMES[name]) for column, text in zip(columns, row, strict=True)]
        for row in rows[:_MAX_ROWS]
    ]
    numeric = [column for at, column in enumerate(columns) if any(isinstance(line[at], Cell) for line in cells)]
    caption = _TABLES[name].replace(_SPLIT, split)
    if len(rows) > _MAX_ROWS:
        caption += f" The first {_MAX_ROWS}; {name}.csv has all."
    made = table(f"{caption} A click on a heading sorts.", columns, cells, numbers=frozenset(numeric), sortable=True)
    return made if len(rows) <= _MAX_UNFOLDED else folded(f"{caption.rstrip('.')}: {len(rows)} rows", made)


def _cell(column: str, text: str, is_name: bool) -> object:
    """A number for people, sorted by its value; names, of which some look like numbers, as they are."""
    if is_name:
        return text
    try:
        value = float(text)
    except ValueError:
        return text
    return Cell(number(column, int(value) if text.isdigit() else value), value)


def _picture(name: str, png: bytes, split: str) -> Html:
    base, _, place = name.partition("-")  # predicted-1.png: the second target
    text = _PICTURES.get(base, f"{name}.png, a picture of the {_SPLIT} split.").replace(_SPLIT, split)
    return picture(png, text, f"{text} Target {int(place) + 1}." if place.isdigit() else text)
