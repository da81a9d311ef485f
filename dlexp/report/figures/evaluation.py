"""Figures of an evaluation as PNG bytes: ROC and precision-recall curves, calibration, residuals, worst mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray

from dlexp.metrics.calibration import Bin
from dlexp.metrics.ranking import RankingCurve
from dlexp.metrics.reports.figures import (
    AttentionMaps,
    Bars,
    ClassShares,
    ConfusionMatrix,
    Forecasts,
    Histogram,
    ImagePairs,
    ImageRows,
    ImageVersions,
    Lines,
    Points,
    RankingCurves,
    ReliabilityDiagram,
    Scatter,
    TokenValues,
    TrueAndPredicted,
)
from dlexp.metrics.reports.figures import Figure as FigureData
from dlexp.report.figures.curves import as_png
from dlexp.report.figures.generated.beside_real import class_shares_png, points_over_png
from dlexp.report.figures.generated.image_pairs import image_pairs_png
from dlexp.report.figures.generated.image_versions import image_versions_png
from dlexp.report.figures.generated.values import bars_png, histogram_png
from dlexp.report.figures.inspection.scatter import scatter_png
from dlexp.report.figures.labels import cut, short_labels
from dlexp.report.figures.samples import samples_png
from dlexp.report.figures.sequences.attention import attention_png
from dlexp.report.figures.sequences.forecasts import forecasts_png
from dlexp.report.figures.sequences.tokens import token_values_png
from dlexp.report.number_format import distinct_texts

Floats = NDArray[np.float64]
Caption = tuple[str | float, str | float, str]

# Colorblind-safe palette of Okabe & Ito; with two line styles, ten distinct lines.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
_STYLES = ("-", "--")
_GRAY = "#555555"
_MOST_CELLS = 40  # classes with readable numbers in the cells
_MOST_NAMES = 60  # classes with readable names on the axes
_LETTERS = 18


def draw_figure(figure: FigureData, split: str) -> bytes:
    """The PNG of a figure of a report. Raises TypeError for a kind that cannot be drawn."""
    match figure:
        case ConfusionMatrix():
            return confusion_png(figure.counts, figure.names, split, shares=figure.is_share)
        case RankingCurves():
            draw_curves = roc_png if figure.is_roc else pr_png
            return draw_curves(figure.curves, figure.areas, split, figure.num_classes)
        case ReliabilityDiagram():
            return reliability_png(figure.bins, figure.error, split)
        case TrueAndPredicted():
            draw_values = residuals_png if figure.is_residual else prediction_png
            return draw_values(figure.true, figure.predicted, figure.target, split)
        case Lines():
            return lines_png(figure, split)
        case TokenValues():
            return token_values_png(figure, split)
        case AttentionMaps():
            return attention_png(figure, split)
        case Forecasts():
            return forecasts_png(figure, split)
        case ClassShares():
            return class_shares_png(figure, split)
        case ImageRows():
            return samples_png(figure.caption.replace("{split}", split), figure.versions, figure.labels)
        case Points():
            return points_over_png(figure, split)
        case ImagePairs():
            return image_pairs_png(figure, split)
        case ImageVersions():
            return image_versions_png(figure, split)
        case Histogram():
            return histogram_png(figure, split)
        case Bars():
            return bars_png(figure, split)
        case Scatter():
            classes = None if figure.classes is None else figure.classes.astype(np.float64)
            return scatter_png(split, {figure.axes: figure.points}, classes, figure.names)
        case _:
            raise TypeError(f"a figure of type {type(figure).__name__} cannot be drawn without the samples")


def lines_png(figure: Lines, split: str) -> bytes:
    """Lines of any kind, with a legend."""
    made, axes = _square()
    for number, (label, (x, y)) in enumerate(figure.lines.items()):
        axes.plot(x, y, label=cut(label, _LETTERS, "both"), **_line(number))
    axes.set_xlabel(figure.x_label)
    axes.set_ylabel(figure.y_label)
    axes.set_title(split, fontsize="medium")
    axes.grid(alpha=0.25)
    if any(figure.lines):
        _legend_beside(axes)
    return as_png(made)


def roc_png(curves: Mapping[str, RankingCurve], areas: Mapping[str, float], split: str, classes: int) -> bytes:
    """ROC curves by class, with their areas; random guessing lies on the diagonal."""
    figure, axes = _square()
    axes.plot([0, 1], [0, 1], color=_GRAY, linewidth=1, linestyle=":", label="random guess")
    for number, (name, curve) in enumerate(curves.items()):
        axes.plot(curve.false_positive_rate, curve.recall, label=_area(name, areas[name]), **_line(number))
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.set_title(f"{split}: {_which(curves, classes)}", fontsize="medium")
    return _finished(figure, axes, "area under the ROC curve")


def pr_png(curves: Mapping[str, RankingCurve], areas: Mapping[str, float], split: str, classes: int) -> bytes:
    """Precision-recall curves by class, with their average precisions."""
    figure, axes = _square()
    for number, (name, curve) in enumerate(curves.items()):
        # Precision is constant up to each recall, as in the definition of the average precision.
        axes.step(curve.recall, curve.precision, where="pre", label=_area(name, areas[name]), **_line(number))
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")
    axes.set_title(f"{split}: {_which(curves, classes)}", fontsize="medium")
    return _finished(figure, axes, "average precision")


def reliability_png(bins: Sequence[Bin], error: float, split: str) -> bytes:
    """Reliability diagram: accuracy over confidence, with the number of samples per bin below."""
    figure = Figure(figsize=(4.8, 5.6), layout="constrained", dpi=110)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    found = [each for each in bins if each.samples]
    sure, right = [each.confidence for each in found], [each.accuracy for each in found]
    above.plot([0, 1], [0, 1], color=_GRAY, linewidth=1, linestyle=":", label="perfect calibration")
    above.vlines(sure, sure, right, color=_COLORS[1], linewidth=2, label="gap")
    above.plot(sure, right, "o", color=_COLORS[0], label=f"bin ({len(bins)} of equal width)")
    above.set_ylabel("accuracy")
    above.set_title(f"{split}: expected calibration error {100 * error:.2f} %", fontsize="medium")
    below.bar([(each.low + each.high) / 2 for each in bins], [each.samples for each in bins], 0.9 / len(bins))
    below.set_xlabel("confidence (largest probability)")
    below.set_ylabel("samples")
    for axes in (above, below):
        axes.grid(alpha=0.25)
        axes.xaxis.set_major_formatter(_percent())
    above.yaxis.set_major_formatter(_percent())
    above.set_ylim(-0.03, 1.03)
    above.legend(fontsize="small", loc="lower right")
    return as_png(figure)


def confusion_png(counts: ArrayLike, names: Sequence[str], split: str, *, shares: bool = False) -> bytes:
    """The confusion matrix, rows the true classes, shaded by the share of a row; readable to a hundred classes.

    Args:
        counts: (K, K) samples by true and predicted class.
        names: K class names.
        split: The split, for the title.
        shares: Whether to show percentages of the true class instead of counts.
    """
    whole = np.asarray(counts, dtype=np.int64)
    of_row = whole / np.maximum(1, whole.sum(axis=1, keepdims=True))
    labels = short_labels(names)
    has_cells, has_names = len(names) <= _MOST_CELLS, len(names) <= _MOST_NAMES
    longest = max(map(len, labels))
    room = 0.08 * longest if has_names else 0.4  # inches next to the matrix
    size = min(max(2.8, 0.42 * len(names)), 11.0)
    figure = Figure(figsize=(size + room + 1.9, size + room + 0.9), layout="compressed", dpi=110)
    axes = figure.add_subplot()
    image = axes.imshow(of_row, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.046, format=_percent())
    if has_cells:
        for y, x in zip(*np.nonzero(whole), strict=True):
            text = f"{100 * of_row[y, x]:.0f}" if shares else f"{whole[y, x]}"
            color = "white" if of_row[y, x] > 0.55 else "black"
            axes.text(x, y, text, ha="center", va="center", color=color, fontsize=8)
    if has_names:
        axes.set_xticks(range(len(names)), labels, rotation=90 if longest > 3 else 0, fontsize=8)
        axes.set_yticks(range(len(names)), labels, fontsize=8)
    axes.set_xlabel("predicted" if has_names else "predicted (class number)")
    axes.set_ylabel("true" if has_names else "true (class number)")
    title = f"{split}: {np.trace(whole)} of {whole.sum()} correct"
    if shares:
        recall = np.diagonal(of_row)[whole.sum(axis=1) > 0]
        title = f"{split}: mean recall {100 * recall.mean() if len(recall) else 0:.1f} %"
    axes.set_title(title, fontsize="medium")
    return as_png(figure)


def prediction_png(true: ArrayLike, predicted: ArrayLike, name: str, split: str) -> bytes:
    """Scatter plot of predicted over true values, (N,) each; perfect predictions lie on the line."""
    figure = Figure(figsize=(4.8, 4.6), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    across, up = np.asarray(true, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    low, high = min(across.min(), up.min()), max(across.max(), up.max())
    axes.plot([low, high], [low, high], color=_GRAY, linewidth=1, label="perfect prediction")
    axes.scatter(across, up, s=16, color=_COLORS[0], alpha=0.7, label=f"{len(across)} samples")
    axes.set_xlabel(f"true {name}")
    axes.set_ylabel(f"predicted {name}")
    axes.set_title(split)
    axes.set_aspect("equal")
    axes.grid(alpha=0.25)
    axes.legend(fontsize="small")
    return as_png(figure)


def residuals_png(true: ArrayLike, predicted: ArrayLike, name: str, split: str) -> bytes:
    """Residuals (predicted minus true) over predicted values, with their histogram."""
    figure = Figure(figsize=(7.6, 4.2), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    values, residuals = np.asarray(predicted), np.asarray(predicted) - np.asarray(true)
    is_drawn = np.isfinite(residuals)
    left.axhline(0, color=_GRAY, linewidth=1)
    left.scatter(values[is_drawn], residuals[is_drawn], s=16, color=_COLORS[0], alpha=0.7)
    mean = float(residuals[is_drawn].mean()) if is_drawn.any() else 0.0
    left.axhline(mean, color=_COLORS[1], linestyle="--", linewidth=1, label=f"mean {mean:.3g}")
    left.set_xlabel(f"predicted {name}")
    left.set_ylabel(f"predicted - true {name}")
    left.set_title(f"{split}: {len(values):,} samples", fontsize="medium")
    left.legend(fontsize="small")
    right.hist(residuals[is_drawn], bins=min(30, max(5, int(len(values) ** 0.5))), orientation="horizontal")
    right.set_xlabel("samples")
    for axes in (left, right):
        axes.grid(alpha=0.25)
    return as_png(figure)


def mistakes_png(images: Floats, captions: Sequence[Caption], split: str) -> bytes:
    """A grid of images, each with its true class or value, its prediction and its confidence.

    Args:
        images: (K, 1 or 3, H, W), 0 black and 1 white; K >= 1.
        captions: (true, predicted, confidence) of each image.
        split: Name of their split.
    """
    title = f"{split}: the {len(images)} worst mistakes" if len(images) > 1 else f"{split}: the only mistake"
    return _captioned(images, captions, f"{title}, true → predicted")


def suspected_labels_png(images: Floats, captions: Sequence[Caption]) -> bytes:
    """A grid of images whose labels are probably wrong.

    Args:
        images: (K, 1 or 3, H, W), 0 black and 1 white; K >= 1.
        captions: (given class, likelier class, number of the sample) of each image.
    """
    title = f"the {len(images)} surest of the suspected labels" if len(images) > 1 else "the suspected label"
    return _captioned(images, captions, f"{title}, given → likelier")


def _captioned(images: Floats, captions: Sequence[Caption], title: str) -> bytes:
    """A grid of images, with two names and a text below each other on each."""
    values = [each for caption in captions for each in caption[:2] if isinstance(each, float)]
    shown = iter(distinct_texts(values))
    labels = [tuple(next(shown) if isinstance(each, float) else each for each in caption) for caption in captions]
    width = min(5, len(images))
    height = -(-len(images) // width)
    # Manual layout: matplotlib's layout engine takes longer than all other figures together.
    side, room, top = 1.8, 0.45, 0.4  # inches of an image, of its caption, of the title
    size = max(3.6, width * (side + 0.1)), height * (side + room) + top
    figure = Figure(figsize=size, dpi=110)
    for number, (image, (true, predicted, sure)) in enumerate(zip(images, labels, strict=True)):
        row, column = divmod(number, width)
        corner = column * (side + 0.1) + 0.05, size[1] - top - (row + 1) * (side + room)
        axes = figure.add_axes((corner[0] / size[0], corner[1] / size[1], side / size[0], side / size[1]))
        pixels = np.clip(np.moveaxis(image, 0, -1), 0, 1)
        if pixels.shape[2] == 1:
            axes.imshow(pixels[:, :, 0], cmap="gray", vmin=0, vmax=1)
        else:
            axes.imshow(pixels)
        axes.set_title(f"{cut(true, 12, 'both')} → {cut(predicted, 12, 'both')}\n{sure}", fontsize=8)
        axes.set_axis_off()
        axes.set(xticks=[], yticks=[])  # matplotlib makes invisible ticks too, which takes longer than the images
    figure.suptitle(title, fontsize="medium", y=1 - 0.08 / size[1], va="top")
    return as_png(figure)


def _square() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.4, 5.6), layout="compressed", dpi=110)
    return figure, figure.add_subplot()


def _percent() -> PercentFormatter:
    return PercentFormatter(1.0, symbol=" %")


def _legend_beside(axes: Axes, title: str | None = None) -> None:
    """A legend to the right of the axes; inside, it would cover curves."""
    axes.legend(title=title, fontsize="small", title_fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _line(number: int) -> dict[str, Any]:
    return {"color": _COLORS[number % len(_COLORS)], "linestyle": _STYLES[number // len(_COLORS) % len(_STYLES)]}


def _area(name: str, area: float) -> str:
    return f"{cut(name, _LETTERS, 'both')}  {area:.3f}"


def _which(curves: Mapping[str, RankingCurve], classes: int) -> str:
    if len(curves) == classes:
        return "each class vs. the rest" if classes > 2 else "each class vs. the other"
    return f"{len(curves)} of {classes} classes (smallest areas) vs. the rest"


def _finished(figure: Figure, axes: Axes, title: str) -> bytes:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_percent())
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.grid(alpha=0.25)
    _legend_beside(axes, title)
    return as_png(figure)
