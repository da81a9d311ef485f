"""The figure of a learning-rate range test as PNG bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from dlexp.report.figures.curves import as_png

_RAW, _SMOOTH, _SUGGESTED, _OTHERS = "#56B4E9", "#0072B2", "#009E73", ("#D55E00", "#CC79A7", "#E69F00", "#555555")
_STYLES = (":", "--", "-.", (0, (1, 3)))


@dataclass(frozen=True)
class SweepCurve:
    """One range test: learning rates, raw and smoothed losses of the same length."""

    label: str
    rates: Sequence[float]
    losses: Sequence[float]
    smoothed: Sequence[float]


def lr_png(
    title: str,
    curves: Sequence[SweepCurve],
    suggested: float | None,
    interval: tuple[float, float],
    marks: Mapping[str, float | None],
) -> bytes:
    """Raw and smoothed loss over the learning rate, with the suggested range and the results of other rules.

    The loss axis is limited to the smoothed loss, since a single diverging point would flatten the curve.

    Args:
        title: Above the figure.
        curves: The range tests.
        suggested: The learning rate of the steepest descent, None without one.
        interval: The suggested range.
        marks: Rule -> its learning rate, None without one.
    """
    figure = Figure(figsize=(8.4, 4.8), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    for number, curve in enumerate(curves):
        first = number == 0
        axes.plot(
            curve.rates,
            curve.losses,
            color=_RAW,
            linewidth=0.8,
            alpha=0.7,
            label="loss of each update" if first else None,
        )
        axes.plot(curve.rates, curve.smoothed, color=_SMOOTH, linewidth=2, label="smoothed" if first else None)
    low = min(min(curve.smoothed) for curve in curves)
    start = max(curve.smoothed[0] for curve in curves)
    top = min(max(max(curve.smoothed) for curve in curves), start + max(start - low, 1e-12))
    margin = 0.12 * max(top - low, 1e-12)
    axes.set_ylim(low - margin, top + margin)
    if suggested is not None:
        axes.axvspan(*interval, color=_SUGGESTED, alpha=0.15, label=f"range {interval[0]:.2g} to {interval[1]:.2g}")
        axes.axvline(suggested, color=_SUGGESTED, linewidth=2, label=f"steepest {suggested:.3g}")
    for (name, rate), color, style in zip(marks.items(), _OTHERS, _STYLES, strict=False):
        if rate is not None and rate > 0:
            axes.axvline(rate, color=color, linestyle=style, label=f"{name} {rate:.2g}")
    axes.set_xscale("log")
    axes.set_xlabel("learning rate (optim.lr)")
    axes.set_ylabel("loss")
    axes.set_title(title, parse_math=False)
    axes.grid(alpha=0.25)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    return as_png(figure, formulas=True)
