"""Checks of images: of one colour, not finite, pixels that never change, files that were left out.

Symbols: N images, C channels, H and W height and width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.findings import Finding, Severity, counted, finding

_MANY = 0.1  # share of the images


def plain(is_flat: NDArray[np.bool_], is_black: NDArray[np.bool_], names: Sequence[str]) -> list[Finding]:
    """Images that show nothing.

    is_flat, is_black  (N,) whether an image is of one colour, and whether that is black
    names              (of those that are flat alone, in order)
    """
    black = is_black[is_flat]
    found = []
    for which, what in ((black, "all black"), (~black, "of one colour")):
        some = [name for name, chosen in zip(names, which, strict=True) if chosen]
        if some:
            severity: Severity = "error" if len(some) >= _MANY * len(is_flat) else "warning"
            text = f"{counted(len(some), 'image is', 'images are')} {what}"
            found.append(finding(severity, "plain images", text, some, "delete or replace them"))
    return found


def not_finite(names: Sequence[str]) -> list[Finding]:
    """Samples with NaN or an infinity among their numbers.

    names  what those are called
    """
    if not names:
        return []
    what = f"{counted(len(names), 'sample holds', 'samples hold')} NaN or an infinity, and so would every weight"
    return [finding("error", "not finite", what, names, "correct or delete them")]


def dead_pixels(low: Tensor, high: Tensor) -> list[Finding]:
    """Pixels that are the same in every training image: nothing can be learnt from them, and little is lost.

    low, high  (C, H, W) extremes of each pixel
    """
    dead = torch.nonzero((low == high).all(dim=0)).tolist()
    if not dead:
        return []
    share = len(dead) / low[0].numel()
    what = f"{counted(len(dead), 'pixel')} of {low[0].numel():,} ({share:.1%}) with one value in all training images"
    where = [f"row {y}, column {x}" for y, x in dead]
    return [finding("warning" if share > 0.5 else "note", "dead pixels", what, where)]


def left_out(damaged: Sequence[str], others: Sequence[str], may_skip: bool) -> list[Finding]:
    """Files of a folder that are not among the samples.

    damaged   those that cannot be read, each with its reason
    others    those that have no suffix of an image, or no folder of a class
    may_skip  whether training leaves damaged ones out (data.on_bad=skip), where it otherwise stops
    """
    found = []
    if damaged:
        what = f"{counted(len(damaged), 'file')} cannot be read as {'an image' if len(damaged) == 1 else 'images'}"
        remedy = "delete or replace them" + ("" if may_skip else ", or data.on_bad=skip")
        found.append(finding("warning" if may_skip else "error", "unreadable", what, damaged, remedy))
    if others:
        what = f"{counted(len(others), 'file has', 'files have')} no suffix of an image, or no folder of a class"
        found.append(finding("note", "other files", what, others))
    return found
