"""The figure of a profile as PNG bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dlexp.report.figures.curves import as_png
from dlexp.report.figures.labels import cut

# Okabe & Ito, ordered so that neighbors differ in lightness too; hatches distinguish the parts in grayscale.
_COLORS = {"data": "#E69F00", "forward": "#56B4E9", "backward": "#0072B2", "optimizer": "#009E73", "other": "#BBBBBB"}
_HATCHES = {"data": "///", "forward": "", "backward": "", "optimizer": "...", "other": ""}
_NAME = 34  # characters of an operator


def profile_png(
    title: str,
    parts: Mapping[str, Mapping[str, float]],
    updates: Sequence[Mapping[str, float]],
    operators: Sequence[Mapping[str, Any]],
) -> bytes:
    """The parts of the mean update, individual updates, and the operators with the largest own time.

    Args:
        title: Above the figure.
        parts: Part -> seconds, share in [0, 1].
        updates: One row per update, in order: part -> seconds.
        operators: Name, share in [0, 1], calls per update; the largest first.
    """
    figure = Figure(figsize=(9.6, 7.6), layout="constrained", dpi=110)
    figure.suptitle(title, parse_math=False)
    top, middle, bottom = figure.subplots(3, 1, height_ratios=(1.0, 2.4, 3.0))
    _mean(top, parts)
    _turns(middle, updates)
    _bars(bottom, operators)
    return as_png(figure)


def _mean(axes: Axes, parts: Mapping[str, Mapping[str, float]]) -> None:
    left = 0.0
    for part, found in parts.items():
        width = 1e3 * found["seconds"]
        label = f"{part} {100 * found['share']:.1f} %"
        axes.barh(0, width, left=left, color=_COLORS[part], hatch=_HATCHES[part], edgecolor="white", label=label)
        left += width
    axes.set_yticks([])
    axes.set_xlim(0, left)
    axes.set_xlabel("mean update (ms)")
    axes.legend(ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize="small")


def _turns(axes: Axes, updates: Sequence[Mapping[str, float]]) -> None:
    numbers, below = range(1, len(updates) + 1), [0.0] * len(updates)
    for part, color in _COLORS.items():
        heights = [1e3 * row[part] for row in updates]
        axes.bar(numbers, heights, 0.9, below, color=color, hatch=_HATCHES[part], edgecolor="white", linewidth=0)
        below = [a + b for a, b in zip(below, heights, strict=True)]
    axes.set_xlim(0.4, len(updates) + 0.6)
    axes.set_xlabel(f"update (the last {len(updates)} measured)")
    axes.set_ylabel("time (ms)")
    axes.grid(axis="y", alpha=0.25)


def _bars(axes: Axes, operators: Sequence[Mapping[str, Any]]) -> None:
    names = [cut(row["name"], _NAME) for row in operators]
    shares = [100 * row["share"] for row in operators]
    places = range(len(operators))
    axes.barh(places, shares, color="#555555")
    for place, row, share in zip(places, operators, shares, strict=True):
        axes.text(share, place, f" {share:.1f} %, {row['calls']:.0f} calls", va="center", fontsize="small")
    axes.set_yticks(places, names, fontsize="small")
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25 * max(shares, default=1.0))
    axes.set_xlabel("operator's own time (% of all operators)")
