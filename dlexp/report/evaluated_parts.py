"""The part of a run's page that tells of one evaluated split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlexp.report.numbers import number
from dlexp.report.page import Cell, Html, Section, facts, folded, paragraph, picture, table
from dlexp.report.story import Evaluated, Table

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
_MAX_ROWS = 200
_SPREADS = ("macro", "weighted", "micro")


def evaluated_section(found: Evaluated) -> Section:
    """What was measured, its tables and its pictures."""
    parts = [facts(_about(found)), *_averages(found)]
    parts += [_table(name, found.tables[name], found.split) for name in _TABLES if name in found.tables]
    names = [*(n for n in _PICTURES if n in found.pictures), *sorted(found.pictures.keys() - _PICTURES.keys())]
    parts += [_picture(name, found.pictures[name], found.split) for name in names]
    if not found.pictures:
        parts.append(paragraph(f"eval/{found.split}/ holds no picture."))
    return Section(f"On the {found.split} split", tuple(parts))


def told(name: str, value: Any) -> str:
    """A metric and, where there is one, its interval."""
    if isinstance(value, Mapping):
        low, high = value.get("low"), value.get("high")
        shown = number(name, value.get("value"))
        return shown if low is None or high is None else f"{shown} ({number(name, low)} to {number(name, high)})"
    return number(name, value)


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


def _averages(found: Evaluated) -> list[Html]:
    """Everything in report.json beside the metrics of training: averages over the classes, the log loss."""
    rows = [
        [f"{name} ({kind})", told(name, value)]
        for kind in _SPREADS
        if isinstance(found.content.get(kind), Mapping)
        for name, value in found.content[kind].items()
    ]
    if "log_loss" in found.content:
        rows.append(["log loss", told("loss", found.content["log_loss"])])
    if not rows:
        return []
    caption = f"Averages over the classes of the {found.split} split."
    return [
        folded("Averages over the classes", table(caption, ["metric", "value"], rows, numbers=frozenset(["value"])))
    ]


def _table(name: str, content: Table, split: str) -> Html:
    columns, rows = content
    cells = [
        [_cell(column, text, first=at == 0) for at, (column, text) in enumerate(zip(columns, row, strict=False))]
        for row in rows
    ]
    numeric = [
        column
        for at, column in enumerate(columns)
        if at and any(isinstance(line[at], Cell) for line in cells if at < len(line))
    ]
    left = len(rows) - _MAX_ROWS
    caption = _TABLES[name].replace(_SPLIT, split) + (
        f" The first {_MAX_ROWS}; {name}.csv has all." if left > 0 else ""
    )
    return table(
        f"{caption} A click on a heading sorts.", columns, cells[:_MAX_ROWS], numbers=frozenset(numeric), sortable=True
    )


def _cell(column: str, text: str, first: bool) -> object:
    """A number for people, sorted by its value; names as they are."""
    if first:
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
