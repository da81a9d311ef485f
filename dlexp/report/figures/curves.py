"""Training curves as PNG bytes, in the colorblind-safe palette of Okabe & Ito."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from dlexp.report.figures.fonts import make_readable
from dlexp.report.number_format import is_share
from dlexp.report.number_format import number as spoken

_WIDE = 20.0  # a loss that spans more than this factor has a logarithmic axis
_TRAIN, _VAL, _BEST, _LR = "#0072B2", "#D55E00", "#009E73", "#555555"


def curves_png(
    columns: Sequence[str], rows: Sequence[Mapping[str, str]], best_epoch: int, monitor: str, most_columns: int = 3
) -> bytes:
    """Training and validation curves over the epochs, one panel per metric, with the best epoch marked.

    At most `most_columns` panels are side by side; 1 is for a phone.

    Shares are in percent. A loss that spans more than a factor of 20 has a logarithmic axis.
    """
    rates = [column for column in columns if column == "lr" or column.startswith("lr/")]  # one a phase
    measured = (column.partition("/")[2] for column in columns if "/" in column and column not in rates)
    names = [name for name in dict.fromkeys(measured) if name]
    panels = [*names, "lr"]
    width = min(2 if len(panels) == 4 else 3, len(panels), most_columns)
    height = -(-len(panels) // width)
    figure = Figure(figsize=(4.2 * width, 3.1 * height), layout="constrained", dpi=110)
    epochs = [int(row["epoch"]) for row in rows]
    for number, name in enumerate(panels):
        axes = figure.add_subplot(height, width, number + 1)
        lines = {f"train/{name}": _TRAIN, f"val/{name}": _VAL}
        if name == "lr":
            lines = dict(zip(rates, cycle((_LR, _TRAIN, _VAL, _BEST)), strict=False))
        curves = {column: _values(rows, column) for column in lines if column in columns}
        for column, values in curves.items():
            style = "--" if column.startswith("train/") else "-"  # distinguishable in grayscale
            marker = "o" if len(epochs) < 3 else None
            axes.plot(epochs, values, color=lines[column], linestyle=style, label=column, marker=marker)
        if best_epoch:
            axes.axvline(best_epoch, color=_BEST, linestyle=":", label=f"best {monitor}" if number == 0 else None)
        if monitor in curves and best_epoch in epochs:
            value = curves[monitor][epochs.index(best_epoch)]
            label = f"{spoken(name, value)} in epoch {best_epoch}"
            axes.plot([best_epoch], [value], "*", color=_BEST, markersize=12, markeredgecolor="white", label=label)
        _curve_axes(axes, name, [value for values in curves.values() for value in values], len(curves))
    return as_png(figure)


def _values(rows: Sequence[Mapping[str, str]], column: str) -> list[float]:
    return [float(row[column]) if row[column] else math.nan for row in rows]


def _curve_axes(axes: Axes, name: str, values: Sequence[float], num_curves: int) -> None:
    """Title, units, scale and legend of a panel."""
    axes.set_title("learning rate" if name == "lr" else name)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.25)
    finite = [value for value in values if math.isfinite(value)]
    if is_share(name):
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    if name.endswith("loss") and finite and min(finite) > 0 and max(finite) / min(finite) > _WIDE:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    labels = axes.get_legend_handles_labels()[1]
    if len(labels) > 1 or num_curves > 1:
        axes.legend(fontsize="small")
    elif labels and name != "lr":
        axes.set_title(labels[0])  # a legend could cover the only curve


def as_png(figure: Figure, *, formulas: bool = False) -> bytes:
    """A figure as PNG bytes, in fonts that have all its characters.

    Args:
        figure: The figure.
        formulas: Whether dollar signs delimit formulas (10^-3 on an axis).
    """
    buffer = io.BytesIO()
    canvas = FigureCanvasAgg(figure)
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    for text in texts if not formulas else ():
        text.set_parse_math(False)  # a class named $x_{$ is not a formula
    make_readable(figure, texts)
    with warnings.catch_warnings():
        # matplotlib warns if placing the legend took more than a second, as on a busy machine.
        warnings.filterwarnings("ignore", message="Creating legend with loc=")
        # `savefig` draws twice, the first time for the layout, which drawing makes by itself.
        canvas.print_png(buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()
