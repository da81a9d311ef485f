"""Attributions by name, importances with intervals and removal curves, as PNG bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap

import numpy as np
from matplotlib.figure import Figure

from dlexp.report.figures.curves import as_png
from dlexp.report.figures.labels import cut, short_labels

_FOR, _AGAINST, _GRAY = "#C0392B", "#0072B2", "#555555"
_MOST_ROWS = 30


def attribution_bars_png(samples: Sequence[Mapping[str, float]], captions: Sequence[str], title: str) -> bytes:
    """A panel of bars for each sample: columns or tokens by name, red for the output and blue against it."""
    across = min(2, len(samples))
    down = -(-len(samples) // across)
    longest = max(len(bars) for bars in samples)
    lines = wrap(title, 55 * across)
    size = (5.2 * across, (0.2 * longest + 0.75) * down + 0.22 * len(lines) + 0.1)
    figure = Figure(figsize=size, layout="constrained", dpi=100)
    figure.suptitle("\n".join(lines), fontsize=9)
    for number, (bars, caption) in enumerate(zip(samples, captions, strict=True)):
        axes = figure.add_subplot(down, across, number + 1)
        values, places = list(bars.values()), np.arange(len(bars))
        axes.barh(places, values, color=[_FOR if value >= 0 else _AGAINST for value in values])
        axes.set_yticks(places, short_labels(list(bars)), fontsize=7)
        axes.invert_yaxis()
        axes.axvline(0, color=_GRAY, linewidth=0.8)
        axes.tick_params(axis="x", labelsize=7)
        axes.set_title(", ".join(caption.split("\n")), fontsize=8)
    return as_png(figure)


def importances_png(rows: Sequence[tuple[str, float, float, float]], loss: str, split: str) -> bytes:
    """Importances (name, increase, low, high), the largest first, with intervals."""
    shown = rows[:_MOST_ROWS]
    left_out = len(rows) - len(shown)
    figure = Figure(figsize=(6.6, 0.26 * len(shown) + 1.2), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    places = np.arange(len(shown))
    means = np.array([row[1] for row in shown])
    spans = np.nan_to_num(np.array([[row[1] - row[2], row[3] - row[1]] for row in shown]).T)
    sure = [_FOR if row[2] > 0 else "#BBBBBB" for row in shown]
    axes.barh(places, means, xerr=spans, color=sure, ecolor=_GRAY, capsize=2)
    axes.set_yticks(places, short_labels([row[0] for row in shown]), fontsize=8)
    axes.invert_yaxis()
    axes.axvline(0, color=_GRAY, linewidth=0.8)
    axes.set_xlabel(cut(f"increase of the {loss}", 70), fontsize="small")
    further = f"; {left_out} less important ones not shown" if left_out else ""
    axes.set_title(f"{split}: a column is shuffled; gray: may be 0{further}", fontsize="small")
    return as_png(figure)


def removal_curves_png(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], method: str, samples: int
) -> bytes:
    """Name of a curve -> (in the order of the method, in random order), each over the share of the parts."""
    figure = Figure(figsize=(7.4, 3.0), layout="constrained", dpi=100)
    for axes, (name, (made, random)) in zip(figure.subplots(1, len(curves), sharey=True), curves.items(), strict=True):
        share = np.linspace(0, 100, len(made))
        axes.plot(share, made, color=_FOR, marker=".", label=method)
        axes.plot(share, random, color=_GRAY, linestyle="--", label="random order")
        axes.set_title(f"{name}, mean of {samples} samples", fontsize="small")
        axes.set_xlabel(f"{'removed' if name == 'deletion' else 'added'} (%)", fontsize="small")
        axes.set_ylabel("score", fontsize="small")
        axes.grid(alpha=0.25)
        axes.legend(fontsize="small")
    return as_png(figure)
