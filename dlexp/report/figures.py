"""Pictures, as PNG bytes: colours that colour-blind people tell apart (Okabe & Ito), units on every axis."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

_TRAIN, _VAL, _BEST, _LR = "#0072B2", "#D55E00", "#009E73", "#555555"


def curves_png(columns: Sequence[str], rows: Sequence[Mapping[str, str]], best_epoch: int, monitor: str) -> bytes:
    """Training and validation curves over the epochs, one panel a metric, the best epoch marked."""
    names = [name for name in dict.fromkeys(c.partition("/")[2] for c in columns if "/" in c) if name]
    panels = [*names, "lr"]
    width = min(3, len(panels))
    height = -(-len(panels) // width)
    figure = Figure(figsize=(4.2 * width, 3.1 * height), layout="constrained", dpi=110)
    epochs = [int(row["epoch"]) for row in rows]
    for number, name in enumerate(panels):
        axes = figure.add_subplot(height, width, number + 1)
        lines = [("lr", _LR)] if name == "lr" else [(f"train/{name}", _TRAIN), (f"val/{name}", _VAL)]
        for column, colour in lines:
            if column in columns:
                values = [float(row[column]) if row[column] else float("nan") for row in rows]
                axes.plot(epochs, values, color=colour, label=column, marker="o" if len(epochs) < 3 else None)
        if best_epoch:
            axes.axvline(best_epoch, color=_BEST, linestyle=":", label=f"best {monitor}" if number == 0 else None)
        axes.set_title("learning rate" if name == "lr" else name)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        if name != "lr":
            axes.legend(fontsize="small")
    return as_png(figure)


def confusion_png(counts: Sequence[Sequence[int]], names: Sequence[str], split: str) -> bytes:
    """The confusion matrix: rows are the true classes, shaded by their share of the row, counts written in."""
    size = max(3.6, min(14.0, 0.55 * len(names) + 2.2))
    figure = Figure(figsize=(size + 0.8, size), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.046)
    if len(names) <= 25:
        for y, row in enumerate(counts):
            for x, count in enumerate(row):
                colour = "white" if shares[y][x] > 0.55 else "black"
                axes.text(x, y, str(count) if count else "·", ha="center", va="center", color=colour, fontsize="small")
        axes.set_xticks(range(len(names)), names, rotation=0 if max(map(len, names)) < 4 else 45, ha="center")
        axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"{split}: {sum(row[i] for i, row in enumerate(counts))} of {sum(map(sum, counts))} right")
    return as_png(figure)


def prediction_png(true: Sequence[float], predicted: Sequence[float], name: str, split: str) -> bytes:
    """Predicted against true values; a perfect prediction lies on the line."""
    figure = Figure(figsize=(4.8, 4.6), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    low, high = min(*true, *predicted), max(*true, *predicted)
    axes.plot([low, high], [low, high], color=_LR, linewidth=1, label="exact")
    axes.scatter(true, predicted, s=16, color=_TRAIN, alpha=0.7, label=f"{len(true)} samples")
    axes.set_xlabel(f"true {name}")
    axes.set_ylabel(f"predicted {name}")
    axes.set_title(split)
    axes.set_aspect("equal")
    axes.grid(alpha=0.25)
    axes.legend(fontsize="small")
    return as_png(figure)


def as_png(figure: Figure, *, formulas: bool = False) -> bytes:
    """The picture as the bytes of a PNG file; dollar signs are dollar signs unless `formulas` (10^-3 on an axis)."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    for text in figure.findobj(Text) if not formulas else ():
        text.set_parse_math(False)  # a class called $x_{$ is a name and no formula
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
