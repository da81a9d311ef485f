"""Checks of images: single color, non-finite values, constant pixels, files left out.

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


def blank_images(is_flat: NDArray[np.bool_], is_black: NDArray[np.bool_], names: Sequence[str]) -> list[Finding]:
    """Findings for images of a single color.

    is_flat, is_black  (N,) whether an image has a single color, and whether it is black
    names              of the images of a single color, in order
    """
    black = is_black[is_flat]
    found = []
    for which, what in ((black, "completely black"), (~black, "a single color")):
        some = [name for name, chosen in zip(names, which, strict=True) if chosen]
        if some:
            severity: Severity = "error" if len(some) >= _MANY * len(is_flat) else "warning"
            text = f"{counted(len(some), 'image is', 'images are')} {what}"
            found.append(finding(severity, "plain images", text, some, "Delete or replace them."))
    return found


def not_finite(names: Sequence[str]) -> list[Finding]:
    """Findings for samples with NaN or infinite values.

    names  of these samples
    """
    if not names:
        return []
    what = (
        f"{counted(len(names), 'sample has', 'samples have')} NaN or infinite values, which would make all weights NaN"
    )
    return [finding("error", "not finite", what, names, "Correct or delete them.")]


def dead_pixels(low: Tensor, high: Tensor) -> list[Finding]:
    """Findings for pixels with the same value in all training images, which carry no information.

    low, high  (C, H, W) minimum and maximum of each pixel
    """
    dead = torch.nonzero((low == high).all(dim=0)).tolist()
    if not dead:
        return []
    share = len(dead) / low[0].numel()
    pixels = f"{counted(len(dead), 'pixel')} of {low[0].numel():,} ({100 * share:.1f} %)"
    what = f"{pixels} with a single value in all training images"
    where = [f"row {y}, column {x}" for y, x in dead]
    return [finding("warning" if share > 0.5 else "note", "dead pixels", what, where)]


def left_out(damaged: Sequence[str], others: Sequence[str], may_skip: bool) -> list[Finding]:
    """Findings for files of a folder that are not samples.

    damaged   unreadable files, each with its reason
    others    files without an image suffix or outside of a class folder
    may_skip  whether training skips unreadable files (data.on_bad=skip) instead of failing
    """
    found = []
    if damaged:
        what = f"{counted(len(damaged), 'file')} cannot be read as {'an image' if len(damaged) == 1 else 'images'}"
        remedy = "Delete or replace them" + ("." if may_skip else ", or set data.on_bad=skip")
        found.append(finding("warning" if may_skip else "error", "unreadable", what, damaged, remedy))
    if others:
        what = f"{counted(len(others), 'file has', 'files have')} no image suffix, or no class folder"
        found.append(finding("note", "other files", what, others))
    return found
