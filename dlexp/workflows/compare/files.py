"""The files of a comparison: compare.json, compare.csv and curves.png."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.writing import write_bytes, write_csv, write_json
from dlexp.artifacts.runs.metrics_log import read_metrics
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.errors import ConfigError
from dlexp.workflows.compare.compare import Comparison
from dlexp.workflows.pictures import Pictures, draw_picture
from dlexp.workflows.run_record.read import read_run_summary

_MAX_NAME = 60  # characters of the groups' labels in a directory's name


def save(comparison: Comparison, pictures: Pictures | None = None) -> Path:
    """Write a new directory outputs/compare/<time>-<labels>-<4hex>/; `pictures` collects figures that failed."""
    words = "-".join(group.label for group in comparison.groups)
    name = "".join(letter if letter.isalnum() or letter in "_.=-" else "-" for letter in words)[:_MAX_NAME]
    folder = RunDir.create("compare", name.strip("-.") or "runs", None).path
    write_json(folder / "compare.json", comparison.as_dict())
    header = ["group", "metric", "mean", "std", "n"]
    write_csv(folder / "compare.csv", header, list(_rows(comparison)))
    (pictures or Pictures()).write(folder / "curves.png", lambda: curves_of(comparison))
    return folder


def write_plot(comparison: Comparison, path: Path) -> None:
    """Plot the monitored metric of all runs over the epochs to a PNG. Raises ConfigError for another file type."""
    if path.suffix.lower() != ".png":
        raise ConfigError.one(
            "--plot", path, "must end with .png", f"Use --plot {path.with_suffix('.png')}", code="invalid-value"
        )
    write_bytes(path, draw_picture(path.name, lambda: curves_of(comparison)))


def curves_of(comparison: Comparison, *, narrow: bool = False) -> bytes:
    """A PNG with the monitored metric of all runs over the epochs, one color per group; `narrow` for a phone."""
    from dlexp.report.figures.compared.run_overlay import (  # matplotlib loads when there is something to draw
        RunCurve,
        overlay_png,
    )

    monitors, curves = [], []
    for group in comparison.groups:
        for run in group.runs:
            past = read_run_summary(run)
            rows = read_metrics(run / "metrics.csv")[1]
            values = [float(row.get(past.monitor) or "nan") for row in rows]
            maximize = past.directions.get(past.monitor.partition("/")[2]) == "max"
            curves.append(RunCurve(group.label, [int(row["epoch"]) for row in rows], values, maximize))
            monitors.append(past.monitor)
    return overlay_png(curves, ", ".join(dict.fromkeys(monitors)), narrow=narrow)


def _rows(comparison: Comparison) -> Iterator[list[Any]]:
    for group in comparison.groups:
        for name, spread in group.metrics.items():
            yield [group.label, name, spread.mean, spread.std, spread.n]
