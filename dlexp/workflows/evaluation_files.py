"""What lies in eval/<split>/ of a run, beside report.json."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dlexp.artifacts.files import write_bytes, write_csv
from dlexp.data.bundle import DataBundle
from dlexp.metrics.bootstrap import METHOD, Resampling
from dlexp.metrics.report import PER_CLASS, Report
from dlexp.report.numbers import alike
from dlexp.types import DataSpec

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
    made = {"method": METHOD, **asdict(resampling)} if resampling.resamples else None
    facts: dict[str, Any] = {
        "intervals": {name: asdict(each) for name, each in details.intervals.items()},
        "bootstrap": made,
        "undefined": details.undefined,
    }
    if details.per_output:
        facts["per_output"] = details.per_output
    if details.reliability:
        facts["reliability"] = [asdict(each) for each in details.reliability]
    if len(spec.class_names) == 2:
        facts["positive_class"] = spec.class_names[1]
    return facts


def write_tables(folder: Path, spec: DataSpec, details: Report, mistakes: Mistakes) -> None:
    """predictions.csv and mistakes.csv, and for classes per_class.csv and confusion.csv."""
    write_csv(folder / "predictions.csv", details.prediction_header, details.prediction_rows)
    write_csv(folder / "mistakes.csv", mistakes.header, mistakes.rows)
    if spec.targets == "class":
        write_csv(folder / "per_class.csv", PER_CLASS, details.per_class)
        header = ["true \\ predicted", *spec.class_names]
        write_csv(folder / "confusion.csv", header, details.confusion_rows(spec.class_names))


def write_pictures(folder: Path, split: str, bundle: DataBundle, details: Report, mistakes: Mistakes) -> None:
    """Every picture that there is something for; one of an earlier evaluation that is not made again goes."""
    made = dict(_pictures(split, bundle, details, mistakes))
    for name, png in made.items():
        write_bytes(folder / f"{name}.png", png)
    for path in (path for pattern in _MADE for path in folder.glob(f"{pattern}.png")):
        if path.stem not in made:
            path.unlink()


def worst(spec: DataSpec, details: Report) -> Mistakes:
    """The samples with the highest loss."""
    order = np.argsort(-np.nan_to_num(details.losses, nan=np.inf), kind="stable").tolist()
    lines = details.prediction_rows
    if spec.targets != "class":
        order = order[:_MOST_MISTAKES]
        header = ["row", "loss", *details.prediction_header[1:]]
        shown = alike([lines[n][place] for n in order for place in (1, 2)])
        captions = [(true, predicted, "") for true, predicted in zip(shown[::2], shown[1::2], strict=True)]
        return Mistakes(order, header, [[lines[n][0], details.losses[n], *lines[n][1:]] for n in order], captions)
    order = [n for n in order if lines[n][1] != lines[n][2]][:_MOST_MISTAKES]
    first = details.prediction_header.index("predicted") + 1
    first += details.prediction_header[first] == "confidence"
    meaning = details.prediction_header[first].partition("(")[0]
    place = {name: first + number for number, name in enumerate(spec.class_names)}
    rows, captions = [], []
    for n in order:
        row, true, predicted = lines[n][:3]
        shown, wanted = lines[n][place[predicted]], lines[n][place[true]]
        rows.append([row, true, predicted, wanted, shown, float(details.losses[n])])
        captions.append((true, predicted, f"{meaning} {wanted:.2g} → {shown:.2g}"))
    header = ["row", "true", "predicted", f"{meaning}(true)", f"{meaning}(predicted)", "loss"]
    return Mistakes(order, header, rows, captions)


def _pictures(split: str, bundle: DataBundle, details: Report, mistakes: Mistakes) -> Iterator[tuple[str, bytes]]:
    from dlexp.report import evaluation_figures as draw  # matplotlib loads when there is something to draw

    spec = bundle.spec
    if spec.targets == "class":
        names = spec.class_names
        yield "confusion", draw.confusion_png(details.confusion, names, split)
        yield "confusion_share", draw.confusion_png(details.confusion, names, split, shares=True)
        if details.curves:
            curves = {names[c]: curve for c, curve in details.curves.items()}
            for kind, area, drawn in (("roc", "roc_auc", draw.roc_png), ("pr", "average_precision", draw.pr_png)):
                column = PER_CLASS.index(area)
                areas = {names[c]: details.per_class[c][column] for c in details.curves}
                yield kind, drawn(curves, areas, split, len(names))
        error = details.scores.get("calibration_error")
        if details.reliability and error is not None:
            yield "reliability", draw.reliability_png(details.reliability, error, split)
    for number, name in enumerate(spec.target_names):
        true, predicted = details.columns(number)
        suffix = "" if number == 0 else f"-{number}"
        yield f"predicted{suffix}", draw.prediction_png(true, predicted, name, split)
        yield f"residuals{suffix}", draw.residuals_png(true, predicted, name, split)
    if spec.inputs == "image" and mistakes.positions and len(spec.input_shape) == 3 and spec.input_shape[0] in (1, 3):
        positions = mistakes.positions[:_MOST_IMAGES]
        images = _images(bundle, split, positions)
        worst_ones = f"{len(positions)} worst mistakes" if len(positions) > 1 else "only mistake"
        title = f"{split}: the {worst_ones}, true → predicted"
        yield "mistakes", draw.mistakes_png(images, mistakes.captions[: len(positions)], title)


def _images(bundle: DataBundle, split: str, positions: Sequence[int]) -> Any:
    """(K, C, H, W) in [0, 1]: as the file has them, before normalisation."""
    inputs = bundle.splits[split].chosen(torch.tensor(positions)).inputs.double()
    white = bundle.preprocessing.get("white")
    if white is None or not math.isfinite(white) or white <= 0:
        low, high = inputs.amin(dim=(1, 2, 3), keepdim=True), inputs.amax(dim=(1, 2, 3), keepdim=True)
        apart = high - low
        return ((inputs - low) / torch.where(apart > 0, apart, 1.0)).numpy()
    return (inputs / white).numpy()
