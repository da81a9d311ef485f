"""Embeddings of samples as points, as PNG bytes.

Symbols: N samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dlexp.report.figures.curves import as_png
from dlexp.report.figures.labels import cut

_MOST_NAMED = 20  # classes with a color of their own
_DPI = 110


def scatter_png(
    title: str, panels: Mapping[str, NDArray[np.float64]], targets: NDArray[np.float64] | None, names: Sequence[str]
) -> bytes:
    """A panel for each projection, colored by class or by value.

    Args:
        title: Above the figure.
        panels: Name -> (N, 2) places.
        targets: (N,) class numbers or values; None for points of one color.
        names: Of the classes; () for values.
    """
    figure = Figure(figsize=(5.2 * len(panels) + 1.2, 4.9), layout="constrained", dpi=_DPI)
    axes = [figure.add_subplot(1, len(panels), number + 1) for number in range(len(panels))]
    for each, (name, places) in zip(axes, panels.items(), strict=True):
        if targets is None:
            each.scatter(places[:, 0], places[:, 1], s=8, color="#0072B2")
        elif names and len(names) <= _MOST_NAMED:
            _classes(each, places, targets, names)
        else:
            points = each.scatter(places[:, 0], places[:, 1], s=8, c=targets, cmap="viridis")
        each.set_title(name, fontsize="small")
        each.set_xticks([])
        each.set_yticks([])
    if targets is not None and names and len(names) <= _MOST_NAMED:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", fontsize="small", markerscale=2)
    elif targets is not None:
        figure.colorbar(points, ax=axes, shrink=0.8, label="class number" if names else "target")
    figure.suptitle(title, fontsize="medium", wrap=True)
    return as_png(figure)


def _classes(axes: Axes, places: NDArray[np.float64], targets: NDArray[np.float64], names: Sequence[str]) -> None:
    colors = matplotlib.colormaps["tab10" if len(names) <= 10 else "tab20"]
    for number, name in enumerate(names):
        chosen = places[targets == number]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=8, color=colors(number), label=cut(name, 20))
