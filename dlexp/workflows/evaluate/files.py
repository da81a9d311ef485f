"""The tables and figures in eval/<split>/ of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.writing import write_csv
from dlexp.data.bundle import DataBundle
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.reports.figures import Figure, SampleImages
from dlexp.metrics.reports.report import Report
from dlexp.workflows.image_samples import has_pictures, images_of
from dlexp.workflows.pictures import Pictures

# Figures of any task of dlexp, which go when an evaluation does not make them again; the user's own files stay.
_MADE = (
    "confusion",
    "confusion_share",
    "roc",
    "pr",
    "reliability",
    "mistakes",
    "misses",
    "steps",
    "predicted*",
    "residuals*",
    "attention-*",
    "gradient_through_time",
    *("generated", "nearest_training", "class_shares"),
    *("reconstructions", "images"),
    "scores",
    "latents",
    "kl",
)
_TABLES = ("generated", "nearest_training", "class_shares")  # the same for tables that an evaluation may leave out
_SPLIT = "{split}"


def report_facts(report: Report, split: str, resampling: Resampling) -> dict[str, Any]:
    """The keys of report.json beside the values of the metrics; figures and tables with their captions."""
    facts: dict[str, Any] = {
        "intervals": {name: asdict(each) for name, each in report.intervals.items()},
        "bootstrap": asdict(resampling) if resampling.resamples else None,
        "undefined": dict(report.undefined),
        **report.facts,
        "tables": {
            name: {"caption": table.caption.replace(_SPLIT, split), "labels": list(table.labels)}
            for name, table in report.tables.items()
        },
        "figures": {name: figure.caption.replace(_SPLIT, split) for name, figure in report.figures.items()},
    }
    return facts | ({"notes": list(report.notes)} if report.notes else {})


def write_tables(folder: Path, report: Report) -> None:
    """<name>.csv for each table of the report."""
    for name, table in report.tables.items():
        write_csv(folder / f"{name}.csv", table.header, table.rows)
    for name in _TABLES:
        if name not in report.tables:
            (folder / f"{name}.csv").unlink(missing_ok=True)


def write_figures(folder: Path, split: str, bundle: DataBundle, report: Report) -> dict[str, list[str]]:
    """<name>.png for each figure of the report; one of an earlier evaluation that is not made again is removed.

    Returns those that could not be drawn, as the key of report.json.
    """
    pictures, thunks = Pictures(), dict(_drawings(split, bundle, report))
    made = {name for name, draw in thunks.items() if pictures.write(folder / f"{name}.png", draw)}
    patterns = (*_MADE, *report.figures)
    for path in (path for pattern in patterns for path in folder.glob(f"{pattern}.png")):
        if path.stem not in made:
            path.unlink(missing_ok=True)
    return pictures.facts()


def _drawings(split: str, bundle: DataBundle, report: Report) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Name -> a function that draws it."""
    for name, figure in report.figures.items():
        if not isinstance(figure, SampleImages):
            yield name, partial(_draw, figure, split)
        elif has_pictures(bundle):
            yield name, partial(_draw_images, figure, split, bundle)


def _draw(figure: Figure, split: str) -> bytes:
    from dlexp.report.figures.evaluation import draw_figure  # matplotlib loads when there is something to draw

    return draw_figure(figure, split)


def _draw_images(figure: SampleImages, split: str, bundle: DataBundle) -> bytes:
    from dlexp.report.figures.evaluation import mistakes_png

    return mistakes_png(images_of(bundle, split, figure.positions), figure.captions, split)
