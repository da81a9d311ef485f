"""What the score loses where a part of the input is hidden (Zeiler & Fergus 2014, arXiv:1311.2901), and Shapley values.

Symbols: B samples, S the shape of a sample, P parts, C channels, H and W of an image.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import factorial

import torch
from torch import Tensor

from dlexp.explain.parts import Parts
from dlexp.explain.score import NotExplained, Score, row_numbers, scores_of

MOST_PLAYERS = 12  # 2 ** 12 subsets for each sample


def occluded_parts(score: Score, values: Tensor, baseline: Tensor, parts: Parts, at_once: int = 256) -> Tensor:
    """(B, *S): the score less that with a part at its baseline, shared evenly by the values of the part."""
    lost = torch.zeros(len(values), parts.count, dtype=torch.float64, device=values.device)
    rows, start = row_numbers(values), baseline.expand_as(values)
    whole = scores_of(score, values, rows, at_once)
    everything = torch.ones(1, parts.count, dtype=torch.bool, device=values.device)
    for number in range(parts.count):
        kept = everything.clone()
        kept[0, number] = False
        lost[:, number] = whole - scores_of(score, parts.kept(kept, values, start), rows, at_once)
    return parts.spread(lost).to(torch.promote_types(values.dtype, torch.float32))


def occlusion(score: Score, images: Tensor, baseline: Tensor, window: int | None = None, at_once: int = 256) -> Tensor:
    """(B, C, H, W): how much the score falls on average when a square that covers a pixel is hidden.

    Args:
        score: What is explained.
        images: (B, C, H, W).
        baseline: What hides, of a shape that broadcasts to (B, C, H, W).
        window: Side of the square in pixels; None for an eighth of the shorter side. It moves by half its side.
        at_once: Rows that are computed together.

    The loss is not divided by the size of the square, and is shared evenly by the channels.
    """
    start, rows = baseline.expand_as(images), row_numbers(images)
    channels, height, width = images.shape[1:]
    side = window or max(1, round(min(height, width) / 8))
    whole = scores_of(score, images, rows, at_once)
    total = torch.zeros(len(images), height, width, dtype=torch.float64, device=images.device)
    count = torch.zeros(height, width, device=images.device)
    for top in _starts(height, side):
        for left in _starts(width, side):
            square = (slice(top, top + side), slice(left, left + side))
            hidden = images.clone()
            hidden[:, :, square[0], square[1]] = start[:, :, square[0], square[1]]
            lost = whole - scores_of(score, hidden, rows, at_once)
            total[:, square[0], square[1]] += lost[:, None, None]
            count[square] += 1
    found = (total / count / channels).to(images.dtype)
    return found[:, None].expand(-1, channels, -1, -1)


def _starts(length: int, side: int) -> Iterator[int]:
    """Starts of windows that move by half a side and cover the whole length."""
    last = max(0, length - side)
    yield from range(0, last, max(1, side // 2))
    yield last


def exact_shapley(score: Score, values: Tensor, baseline: Tensor, parts: Parts, at_once: int = 1024) -> Tensor:
    """(B, *S): exact Shapley values over all subsets of the parts, shared evenly by the values of a part.

    The sum over a sample is its score less that of the baseline. A part that is left out is at its baseline.
    Raises NotExplained for more than 12 parts.
    """
    count = parts.count
    if count > MOST_PLAYERS:
        rule = f"exact Shapley values are computed for at most {MOST_PLAYERS} columns, and these samples have {count}"
        raise NotExplained(f"{rule} {parts.kind}s. Use --method integrated_gradients")
    device = values.device
    subsets = torch.arange(1 << count, device=device)
    members = (subsets[:, None] >> torch.arange(count, device=device)) & 1 == 1  # (2 ** P, P)
    start, found = baseline.expand_as(values), []
    sizes = members.sum(1)
    weight = torch.tensor(
        [factorial(size) * factorial(count - size - 1) / factorial(count) for size in range(count)],
        dtype=torch.float64,
        device=device,
    )
    for row in range(len(values)):
        pieces = [
            scores_of(
                score,
                parts.kept(chosen, values[row : row + 1], start[row : row + 1]),
                torch.full((len(chosen),), row, device=device),
                at_once,
            )
            for chosen in members.split(at_once)
        ]
        worth = torch.cat(pieces).double()
        shares = []
        for player in range(count):
            without = subsets[~members[:, player]]
            gains = worth[without | (1 << player)] - worth[without]
            shares.append((weight[sizes[without]] * gains).sum())
        found.append(torch.stack(shares))
    return parts.spread(torch.stack(found)).to(torch.promote_types(values.dtype, torch.float32))
