"""Training curves as PNG bytes, in the colorblind-safe palette of Okabe & Ito."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from itertools import cycle

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from dlexp.report.figures.charts.axis_scale import linear_scale, log_scale
from dlexp.report.figures.charts.line_charts import ChartCurve, LegendEntry, LineChart, line_charts_png
from dlexp.report.figures.fonts import make_readable
from dlexp.report.figures.png import png_bytes
from dlexp.report.number_format import is_share
from dlexp.report.number_format import number as spoken

_WIDE = 20.0  # a loss that spans more than this factor has a logarithmic axis
_INTERVALS, _EPOCHS = 7, 8  # between the ticks of an axis
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
    epochs = [int(row["epoch"]) for row in rows]
    marker = "o" if len(epochs) < 3 else ""
    charts = []
    for number, name in enumerate(panels):
        colors = {f"train/{name}": _TRAIN, f"val/{name}": _VAL}
        if name == "lr":
            colors = dict(zip(rates, cycle((_LR, _TRAIN, _VAL, _BEST)), strict=False))
        curves = []
        for column, color in colors.items():
            if column in columns:
                look = LegendEntry(column, color, "--" if column.startswith("train/") else "-", marker)  # also in gray
                curves.append(ChartCurve(_values(rows, column), look))
        line = (float(best_epoch), LegendEntry(f"best {monitor}", _BEST, ":")) if best_epoch else None
        charts.append(_chart(name, epochs, curves, line, _star(name, epochs, curves, best_epoch, monitor), number == 0))
    return line_charts_png(charts, width)


def _values(rows: Sequence[Mapping[str, str]], column: str) -> list[float]:
    return [float(row[column]) if row[column] else math.nan for row in rows]


def _star(
    name: str, epochs: Sequence[int], curves: Sequence[ChartCurve], best_epoch: int, monitor: str
) -> tuple[float, float, LegendEntry] | None:
    """The mark of the best epoch on the curve of the metric that decides it."""
    monitored = next((curve for curve in curves if curve.look.label == monitor), None)
    if monitored is None or best_epoch not in epochs:
        return None
    value = monitored.values[epochs.index(best_epoch)]
    label = f"{spoken(name, value)} in epoch {best_epoch}"
    return float(best_epoch), value, LegendEntry(label, _BEST, "none", "*")


def _chart(
    name: str,
    epochs: Sequence[int],
    curves: Sequence[ChartCurve],
    line: tuple[float, LegendEntry] | None,
    star: tuple[float, float, LegendEntry] | None,
    explains_line: bool,
) -> LineChart:
    """A panel with its title, units, scale and legend."""
    values = [value for curve in curves for value in curve.values]
    finite = [value for value in values if math.isfinite(value)]
    if name.endswith("loss") and finite and min(finite) > 0 and max(finite) / min(finite) > _WIDE:
        vertical = log_scale(finite)
    else:
        vertical = linear_scale(values, _INTERVALS, percent=is_share(name))
    places = [*map(float, epochs), *([line[0]] if line else [])]
    horizontal = linear_scale(places, _EPOCHS, integers=True)
    legend = tuple(curve.look for curve in curves)
    legend += (line[1],) if line is not None and explains_line else ()
    legend += (star[2],) if star is not None else ()
    title = "learning rate" if name == "lr" else name
    if len(legend) == 1:
        title = title if name == "lr" else legend[0].label  # a legend could cover the only curve
        legend = ()
    return LineChart(title, "epoch", list(map(float, epochs)), curves, horizontal, vertical, line, star, legend)


def as_png(figure: Figure, *, formulas: bool = False) -> bytes:
    """A figure as PNG bytes, in fonts that have all its characters.

    Args:
        figure: The figure.
        formulas: Whether dollar signs delimit formulas (10^-3 on an axis).
    """
    canvas = FigureCanvasAgg(figure)
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    for text in texts if not formulas else ():
        text.set_parse_math(False)  # a class named $x_{$ is not a formula
    make_readable(figure, texts)
    with warnings.catch_warnings():
        # matplotlib warns if placing the legend took more than a second, as on a busy machine.
        warnings.filterwarnings("ignore", message="Creating legend with loc=")
        # `savefig` draws twice, the first time for the layout, which drawing makes by itself.
        return png_bytes(canvas)
