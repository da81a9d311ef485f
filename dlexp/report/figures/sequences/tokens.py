"""Figures of texts whose tokens have values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import matplotlib as mpl
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from dlexp.metrics.reports.figures import TokenValues
from dlexp.report.figures.curves import as_png

_COLUMNS = 96  # characters in a line of text
_LINES = 6  # lines of each text; the rest is left out, and said so
_LINE_HEIGHT = 0.2  # inches
_SIZE = 7.5  # points of a letter
_DARK = 0.6  # of the scale, from which letters are white


def token_values_png(figure: TokenValues, split: str) -> bytes:
    """The texts, with each token on a ground that is the darker the larger its value."""
    largest = max((value for values in figure.values for value in values), default=1.0) or 1.0
    scale, colors = Normalize(0, largest), mpl.colormaps["YlOrRd"]
    blocks = [list(_lines(tokens, values)) for tokens, values in zip(figure.tokens, figure.values, strict=True)]
    height = sum(min(len(block), _LINES + 1) + 1.5 for block in blocks) * _LINE_HEIGHT + 0.7
    made = Figure(figsize=(8, height), layout="constrained")
    axes = made.add_subplot()
    axes.set(xlim=(0, _COLUMNS), ylim=(height / _LINE_HEIGHT - 2, 0))
    axes.axis("off")
    row = 0.5
    for title, block in zip(figure.titles, blocks, strict=True):
        axes.text(0, row, title, fontsize=_SIZE, weight="bold", va="center")
        row += 1
        for line in block[:_LINES]:
            for column, text, value in line:
                color = "white" if scale(value) > _DARK else "black"
                ground = colors(scale(value))
                axes.add_patch(mpl.patches.Rectangle((column, row - 0.5), len(text), 1, color=ground, linewidth=0))
                for place, letter in enumerate(text):
                    axes.text(
                        *(column + place + 0.5, row),
                        letter,
                        fontsize=_SIZE,
                        family="monospace",
                        color=color,
                        ha="center",
                        va="center",
                        parse_math=False,
                    )
            row += 1
        if len(block) > _LINES:
            axes.text(0, row, f"... {len(block) - _LINES} more lines", fontsize=_SIZE, va="center")
            row += 1
        row += 0.5
    made.colorbar(ScalarMappable(scale, colors), ax=axes, label="loss in nats", shrink=0.8, pad=0.01)
    axes.set_title(split, fontsize="medium")
    return as_png(made)


def _lines(tokens: Sequence[str], values: Sequence[float]) -> Iterator[list[tuple[int, str, float]]]:
    """(column, text, value) of the tokens of each line; a token longer than a line is cut."""
    line: list[tuple[int, str, float]] = []
    column = 0
    for token, value in zip(tokens, values, strict=True):
        text = token[:_COLUMNS]
        if column + len(text) > _COLUMNS:
            yield line
            line, column = [], 0
        line.append((column, text, value))
        column += len(text)
    if line:
        yield line
