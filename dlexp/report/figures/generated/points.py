"""Samples of a table as points of two of its columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dlexp.report.figures.curves import as_png

_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")  # Okabe & Ito
_GROUPS = len(_COLORS)


def points_png(
    points: NDArray[np.float64],
    names: tuple[str, str],
    limits: tuple[tuple[float, float], tuple[float, float]],
    *,
    groups: Sequence[str] = (),
    title: str = "",
) -> bytes:
    """Points (N, 2) as PNG bytes.

    Args:
        points: Those outside the limits are not shown, and counted.
        names: Of both columns.
        limits: Lowest and highest value of both axes.
        groups: Group of each point, such as its class; more than seven have one color.
        title: Above.
    """
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    known = list(dict.fromkeys(groups))
    if 1 < len(known) <= _GROUPS:
        of = np.asarray(groups)
        for name, color in zip(known, _COLORS, strict=False):
            axes.scatter(
                points[of == name, 0], points[of == name, 1], s=8, color=color, alpha=0.7, linewidths=0, label=name
            )
        axes.legend(loc="upper right", fontsize="small")
    else:
        axes.scatter(points[:, 0], points[:, 1], s=8, color=_COLORS[0], alpha=0.7, linewidths=0)
    low, high = np.asarray(limits).T
    outside = int((~((points >= low) & (points <= high)).all(axis=1)).sum())
    axes.set(xlim=limits[0], ylim=limits[1], xlabel=names[0], ylabel=names[1])
    axes.set_title(title + (f" ({outside} outside)" if outside else ""), fontsize="medium")
    return as_png(figure)
