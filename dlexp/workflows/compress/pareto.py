"""The results of several strengths: what each costs, and a picture of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.writing import write_json
from dlexp.text.time_format import now_utc
from dlexp.workflows.compress.source import Source
from dlexp.workflows.pictures import Pictures

PICTURE = "pareto.png"


def write_pareto(folder: Path, source: Source, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Write compress.json and pareto.png of several strengths; returns the content of the first.

    Args:
        folder: Which has a run for each strength.
        source: The run that was compressed.
        found: compress.json of each strength.
    """
    pictures = Pictures()
    pictures.write(folder / PICTURE, partial(_drawn, found))
    content = {
        "schema": found[0]["schema"],
        "folder": str(folder),
        "source": str(source.run.path),
        "strengths": list(found),
        "front": [each["steps"] for each in front(found)],
        "made": now_utc(),
        **pictures.facts(),
    }
    write_json(folder / "compress.json", content)
    return content


def front(found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The results that no other one beats both in the metric and in cost, which is multiply-adds of nonzero weights."""
    kept = []
    points = [(_cost(each), _value(each)) for each in found]
    for one, (cost, value) in zip(found, points, strict=True):
        others = [point for point in points if point != (cost, value)]
        if not any(cheap <= cost and good >= value for cheap, good in others):
            kept.append(one)
    return kept


def _value(content: Mapping[str, Any]) -> float:
    """The metric after compression, larger for a better network."""
    after, metric = content["metric"]["after"], content["metric"]
    return float("-inf") if after is None else float(after if metric["maximize"] else -after)


def _cost(content: Mapping[str, Any]) -> tuple[float, float]:
    """Multiply-adds and parameters that are not zero."""
    after = content["after"]
    return after["multiply_adds"], after["nonzero_parameters"]


def _drawn(found: Sequence[Mapping[str, Any]]) -> bytes:
    from dlexp.report.figures.compression.pareto import pareto_png  # here, so that matplotlib loads when it is needed

    return pareto_png(found)
