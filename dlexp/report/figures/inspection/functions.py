"""Activation functions and their derivatives as PNG bytes."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dlexp.report.figures.curves import as_png

_COLUMNS = 4
_TALLEST = 3.0


def functions_png(
    x: NDArray[np.float64], functions: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> bytes:
    """A panel for each function: its values, and its derivative dashed, over `x` (N,)."""
    rows = ceil(len(functions) / _COLUMNS)
    figure = Figure(figsize=(3.1 * _COLUMNS, 2.4 * rows + 0.6), layout="constrained", dpi=100)
    for number, (name, (values, slopes)) in enumerate(functions.items()):
        axes = figure.add_subplot(rows, _COLUMNS, number + 1)
        axes.axhline(0, color="#999999", linewidth=0.8, linestyle="--")
        axes.axvline(0, color="#999999", linewidth=0.8, linestyle="--")
        value, slope = axes.plot(x, values, color="#0072B2", linewidth=2), axes.plot(x, slopes, "--", color="#D55E00")
        axes.set_title(name, fontsize="small")
        axes.set_ylim(max(-_TALLEST, values.min() - 0.2, -5), min(_TALLEST, max(values.max(), slopes.max()) + 0.2))
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize="x-small")
    figure.legend([*value, *slope], ["value", "derivative"], loc="outside lower center", ncols=2, fontsize="small")
    figure.suptitle("Activation functions (model.activation)", fontsize="medium")
    return as_png(figure)
