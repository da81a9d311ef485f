"""What lies in eval/<split>/ of a run, beside report.json."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dlexp.artifacts.files.writing import write_csv
from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.prediction_rows import MOST_CLASSES
from dlexp.metrics.report import PER_CLASS, Report
from dlexp.report.number_format import alike
from dlexp.specs import ClassSpec, DataSpec, ImageSpec, ValueSpec
from dlexp.workflows.pictures import Pictures

_MOST_MISTAKES = 100  # lines of mistakes.csv
_MOST_IMAGES = 25
_MADE = ("confusion", "confusion_share", "roc", "pr", "reliability", "mistakes", "predicted*", "residuals*")


@dataclass(frozen=True)
class Mistakes:
    """The worst samples, worst first: of classes those that were got wrong, of values all.

    positions  in the split, in order
    rows       a line of mistakes.csv each
    captions   (true, predicted, how sure) of each, for its image
    """

    positions: list[int]
    header: list[str]
    rows: list[list[Any]]
    captions: list[tuple[str, str, str]]


def score_facts(details: Report, spec: DataSpec, resampling: Resampling) -> dict[str, Any]:
    """What report.json tells of the metrics beside their values."""
    made = asdict(resampling) if resampling.resamples else None
    facts: dict[str, Any] = {
        "intervals": {name: asdict(each) for name, each in details.intervals.items()},
        "bootstrap": made,
        "undefined": details.undefined,
    }
    if details.per_output:
        facts["per_output"] = details.per_output
    if details.notes:
        facts["notes"] = list(details.notes)
    if details.reliability:
        facts["reliability"] = [asdict(each) for each in details.reliability]
    if isinstance(spec.targets, ClassSpec) and len(spec.targets.names) == 2:
        facts["positive_class"] = spec.targets.names[1]
    return facts


def write_tables(folder: Path, spec: DataSpec, details: Report, mistakes: Mistakes) -> None:
    """predictions.csv and mistakes.csv, and for classes per_class.csv and confusion.csv.

    Of more than `MOST_CLASSES` classes the confusion matrix is confusion_cells.csv: the cells that are not 0.
    """
    write_csv(folder / "predictions.csv", details.prediction_header, details.prediction_rows)
    write_csv(folder / "mistakes.csv", mistakes.header, mistakes.rows)
    if isinstance(spec.targets, ClassSpec):
        write_csv(folder / "per_class.csv", PER_CLASS, details.per_class)
        names = spec.targets.names
        if len(names) > MOST_CLASSES:
            cells = ((names[true], names[predicted], count) for true, predicted, count in details.cells)
            write_csv(folder / "confusion_cells.csv", ["true", "predicted", "samples"], cells)
        else:
            header = ["true \\ predicted", *names]
            write_csv(folder / "confusion.csv", header, details.confusion_rows(names))


def write_pictures(
    folder: Path, split: str, bundle: DataBundle, details: Report, mistakes: Mistakes
) -> dict[str, list[str]]:
    """Every picture that there is something for; one of an earlier evaluation that is not made again goes.

    Returns what could not be drawn, as report.json tells it.
    """
    pictures, thunks = Pictures(), dict(_pictures(split, bundle, details, mistakes))
    made = {name for name, draw in thunks.items() if pictures.write(folder / f"{name}.png", draw)}
    for path in (path for pattern in _MADE for path in folder.glob(f"{pattern}.png")):
        if path.stem not in made:
            path.unlink()
    return pictures.facts()


def worst(spec: DataSpec, details: Report) -> Mistakes:
    """The samples with the highest loss."""
    order = np.argsort(-np.nan_to_num(details.losses, nan=np.inf), kind="stable").tolist()
    if not isinstance(spec.targets, ClassSpec):
        lines = list(details.prediction_rows)
        order = order[:_MOST_MISTAKES]
        header = ["row", "loss", *details.prediction_header[1:]]
        shown = alike([lines[n][place] for n in order for place in (1, 2)])
        captions = [(true, predicted, "") for true, predicted in zip(shown[::2], shown[1::2], strict=True)]
        return Mistakes(order, header, [[lines[n][0], details.losses[n], *lines[n][1:]] for n in order], captions)
    names = spec.targets.names
    said = details.mistakes
    assert said is not None  # a report of classes has them
    order = [n for n in order if said.true[n] != said.guessed[n]][:_MOST_MISTAKES]
    rows, captions = [], []
    for n in order:
        true, guessed = names[said.true[n]], names[said.guessed[n]]
        own, largest = float(said.own[n]), float(said.largest[n])
        rows.append([said.rows[n], true, guessed, own, largest, float(details.losses[n])])
        captions.append((true, guessed, f"{said.meaning} {_shown(own, said.meaning)} → {largest:.2g}"))
    header = ["row", "true", "predicted", f"{said.meaning}(true)", f"{said.meaning}(predicted)", "loss"]
    return Mistakes(order, header, rows, captions)


def _shown(number: float, meaning: str) -> str:
    """Two digits; a probability is never 0, it is too small for a float."""
    return "< 1e-307" if meaning == "p" and number == 0 else f"{number:.2g}"


def _pictures(
    split: str, bundle: DataBundle, details: Report, mistakes: Mistakes
) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Name -> what draws it."""
    spec = bundle.spec
    if isinstance(spec.targets, ClassSpec):
        names = spec.targets.names
        if len(names) <= MOST_CLASSES:
            yield "confusion", lambda: _figures().confusion_png(details.confusion, names, split)
            yield "confusion_share", lambda: _figures().confusion_png(details.confusion, names, split, shares=True)
        if details.curves:
            curves = {names[c]: curve for c, curve in details.curves.items()}
            roc, pr = (
                {names[c]: details.per_class[c][PER_CLASS.index(area)] for c in details.curves}
                for area in ("roc_auc", "average_precision")
            )
            yield "roc", lambda: _figures().roc_png(curves, roc, split, len(names))
            yield "pr", lambda: _figures().pr_png(curves, pr, split, len(names))
        error = details.scores.get("calibration_error")
        if details.reliability and error is not None:
            yield "reliability", lambda: _figures().reliability_png(details.reliability, error, split)
    for number, name in enumerate(spec.targets.names if isinstance(spec.targets, ValueSpec) else ()):
        suffix = "" if number == 0 else f"-{number}"
        yield f"predicted{suffix}", partial(_of_target, details, number, name, split, is_residual=False)
        yield f"residuals{suffix}", partial(_of_target, details, number, name, split, is_residual=True)
    if isinstance(spec.inputs, ImageSpec) and mistakes.positions and spec.inputs.channels in (1, 3):
        yield "mistakes", lambda: _of_mistakes(bundle, split, mistakes)


def _figures() -> Any:
    from dlexp.report.figures import evaluation  # matplotlib loads when there is something to draw

    return evaluation


def _of_target(details: Report, number: int, name: str, split: str, *, is_residual: bool) -> bytes:
    true, predicted = details.columns(number)
    draw = _figures().residuals_png if is_residual else _figures().prediction_png
    png: bytes = draw(true, predicted, name, split)
    return png


def _of_mistakes(bundle: DataBundle, split: str, mistakes: Mistakes) -> bytes:
    positions = mistakes.positions[:_MOST_IMAGES]
    images = _images(bundle, split, positions)
    worst_ones = f"{len(positions)} worst mistakes" if len(positions) > 1 else "only mistake"
    title = f"{split}: the {worst_ones}, true → predicted"
    png: bytes = _figures().mistakes_png(images, mistakes.captions[: len(positions)], title)
    return png


def _images(bundle: DataBundle, split: str, positions: Sequence[int]) -> Any:
    """(K, C, H, W) in [0, 1]: as the file has them, before normalisation."""
    inputs = tensor_of(bundle.splits[split].select(torch.tensor(positions)).inputs).double()
    white = bundle.preprocessing.get("white")
    if white is None or not math.isfinite(white) or white <= 0:
        low, high = inputs.amin(dim=(1, 2, 3), keepdim=True), inputs.amax(dim=(1, 2, 3), keepdim=True)
        apart = high - low
        return ((inputs - low) / torch.where(apart > 0, apart, 1.0)).numpy()
    return (inputs / white).numpy()
