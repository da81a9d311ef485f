"""Attributions over what they explain: images and series, as PNG bytes.

Symbols: B samples, C channels, H and W of an image, T steps of a series.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dlexp.report.figures.curves import as_png

Floats = NDArray[np.float64]
_DPI = 100
_SHARE = 99.5  # percentile of the absolute attributions that has the full color: one pixel must not hide the others
_SIGNED, _POSITIVE = "RdBu_r", "inferno"


def overlays_png(images: Floats, heat: Floats, captions: Sequence[str], title: str, is_signed: bool) -> bytes:
    """Each image, its attributions, and these over the image in gray.

    Args:
        images: (B, C, H, W) in [0, 1], C of 1 or 3.
        heat: (B, H, W) attributions; each sample has its own scale.
        captions: B texts.
        title: Above the figure.
        is_signed: Whether red is for and blue against; else only size is shown.
    """
    across = 2 if len(images) > 1 else 1
    down = -(-len(images) // across)
    width, lines = 4.7 * across + 0.5, wrap(title, 62 * across)
    head = 0.2 * len(lines) + 0.15
    height = 1.5 * down + head
    figure = Figure(figsize=(width, height), dpi=_DPI)
    figure.text(0.1 / width, 1 - 0.08 / height, "\n".join(lines), ha="left", va="top", fontsize=9)
    top = (height - head) / height
    for number, image in enumerate(images):
        row, column = number // across, number % across
        panels = [
            figure.add_axes(
                (
                    (column * 4.75 + 0.1 + place * 1.12) / width,
                    top - (row + 1) * 1.5 / height + 0.15 / height,
                    1.06 / width,
                    1.3 / height,
                )
            )
            for place in range(3)
        ]
        _one(panels, image, heat[number], is_signed)
        axes = panels[2]
        axes.text(1.06, 0.5, captions[number], transform=axes.transAxes, ha="left", va="center", fontsize=8)
    return as_png(figure)


def _one(panels: Sequence[Axes], image: Floats, heat: Floats, is_signed: bool) -> None:
    """The image, the attributions, and both."""
    colors = np.clip(image.transpose(1, 2, 0), 0, 1)
    gray = colors.mean(2)
    panels[0].imshow(gray if image.shape[0] == 1 else colors, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    largest = full_color(heat)
    settings: dict[str, Any] = (
        {"cmap": _SIGNED, "vmin": -largest, "vmax": largest}
        if is_signed
        else {"cmap": _POSITIVE, "vmin": 0, "vmax": largest}
    )
    panels[1].imshow(heat, interpolation="nearest", **settings)
    panels[2].imshow(gray, cmap="gray", vmin=-0.4, vmax=1.2, interpolation="nearest")
    strength = np.clip(np.abs(heat) / largest, 0, 1)
    panels[2].imshow(heat, alpha=0.85 * strength, interpolation="nearest", **settings)
    for axes in panels:
        axes.set_xticks([])
        axes.set_yticks([])


def full_color(heat: Floats) -> float:
    """The size of an attribution that has the full color, above 0 also where all are 0."""
    sizes = np.abs(heat[np.isfinite(heat)])
    if not sizes.size or sizes.max() == 0:
        return 1.0
    return float(np.percentile(sizes, _SHARE)) or float(sizes.max())


def series_overlays_png(values: Floats, heat: Floats, captions: Sequence[str], title: str, is_signed: bool) -> bytes:
    """Each series as lines over its attributions as colors.

    Args:
        values: (B, T, C).
        heat: (B, T).
        captions: B texts.
        title: Above the figure.
        is_signed: Whether red is for and blue against.
    """
    lines = wrap(title, 100)
    figure = Figure(figsize=(8, 1.3 * len(values) + 0.25 * len(lines) + 0.3), dpi=_DPI, layout="constrained")
    figure.suptitle("\n".join(lines), fontsize=9)
    panels = figure.subplots(len(values), 1, squeeze=False)[:, 0]
    for axes, series, found, caption in zip(panels, values, heat, captions, strict=True):
        largest = full_color(found)
        low, high = float(series.min()), float(series.max())
        room = 0.05 * (high - low) or 1.0
        axes.imshow(
            found[None],
            aspect="auto",
            extent=(0.5, len(series) + 0.5, low - room, high + room),
            cmap=_SIGNED if is_signed else "YlOrRd",
            vmin=-largest if is_signed else 0,
            vmax=largest,
            alpha=0.6,
            interpolation="nearest",
        )
        axes.plot(np.arange(1, len(series) + 1), series, color="black", linewidth=0.8)
        axes.tick_params(labelsize=7)
        axes.text(1.01, 0.5, caption, transform=axes.transAxes, ha="left", va="center", fontsize=8)
    return as_png(figure)
