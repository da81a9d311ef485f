"""The masks of dropout as a network draws them alone, recorded once and then given to a stack of networks.

Symbols: K members of a stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from dlexp.runtime.seed import generator

_UNITS = (F.dropout, torch.dropout)
_CHANNELS = (F.dropout1d, F.dropout2d, F.dropout3d)


@dataclass(frozen=True)
class Draw:
    """A mask that a network draws.

    shape, stride  of the mask, whose numbers are drawn in the order of its memory
    p              probability of zeroing, in (0, 1)
    """

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    p: float


class RecordedDraws(TorchFunctionMode):
    """Within it, masks are drawn as usual, and `draws` tells which."""

    def __init__(self) -> None:
        super().__init__()
        self.draws: list[Draw] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Note the mask of a dropout, and call it."""
        given = kwargs or {}
        if (found := _mask_of(func, args, given)) is not None:
            self.draws.append(found)
        return func(*args, **given)


class GivenMasks(TorchFunctionMode):
    """Within it, dropout multiplies by given masks, in their order, and draws nothing.

    masks  those of `RecordedDraws`, each with 1 / (1 - p) where a number is kept
    """

    def __init__(self, masks: Sequence[Tensor]) -> None:
        super().__init__()
        self._masks: Iterator[Tensor] = iter(masks)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Apply the next mask in place of a dropout that would draw one."""
        given = kwargs or {}
        if func not in _UNITS and func not in _CHANNELS:
            return func(*args, **given)
        values, _, is_training, is_in_place = _arguments(args, given)
        if not is_training:
            return values
        mask = next(self._masks, None)
        if mask is None:
            return func(*args, **given)
        return values.mul_(mask) if is_in_place else values * mask


def stacked_masks(draws: Sequence[Sequence[Draw]], generators: Sequence[torch.Generator]) -> list[Tensor]:
    """The next masks of K members, each (K, *shape).

    Args:
        draws: What each member draws; they differ in `p` alone.
        generators: The generator of each, seeded as torch's own would be.
    """
    found = []
    for column in zip(*draws, strict=True):
        one = column[0]
        masks = torch.empty(len(column), *one.shape, dtype=one.dtype, device=generators[0].device)
        shape = (-1, *(1,) * len(one.shape))
        is_contiguous = masks[0].stride() == one.stride
        if is_contiguous and masks.device.type == "cpu" and _compares_uniform_numbers():
            numbers = torch.empty(masks.shape, dtype=torch.float64)
            for row, own in zip(numbers.unbind(), generators, strict=True):
                row.uniform_(generator=own)
            torch.lt(numbers, torch.tensor([1 - draw.p for draw in column], dtype=torch.float64).view(shape), out=masks)
        else:
            for row, draw, own in zip(masks.unbind(), column, generators, strict=True):
                _draw(row, draw, own, is_contiguous)
        kept = torch.tensor([1 - draw.p for draw in column], dtype=one.dtype, device=masks.device)
        found.append(masks.div_(kept.view(shape)))
    return found


def _draw(row: Tensor, draw: Draw, own: torch.Generator, is_contiguous: bool) -> None:
    """Draw the mask of one member as its network does."""
    if is_contiguous:
        row.bernoulli_(1 - draw.p, generator=own)
    else:
        drawn = torch.empty_strided(draw.shape, draw.stride, dtype=draw.dtype, device=row.device)
        row.copy_(drawn.bernoulli_(1 - draw.p, generator=own))


@cache
def _compares_uniform_numbers() -> bool:
    """Whether `bernoulli_(p)` is 1 where a uniform number of float64 is below p, as it is without Intel's library.

    Drawing the numbers takes half the time of drawing the mask, and one comparison serves all members.
    """
    generators = [generator(0, "masks of dropout") for _ in range(2)]
    for size in (1, 17, 4096):
        mask = torch.empty(size).bernoulli_(0.3, generator=generators[0])
        numbers = torch.empty(size, dtype=torch.float64).uniform_(generator=generators[1])
        if not torch.equal(mask, (numbers < 0.3).float()):
            return False
    return True


def _mask_of(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Draw | None:
    """The mask that a call draws, None for a call that draws none that is known here."""
    if func not in _UNITS and func not in _CHANNELS:
        return None
    values, p, is_training, _ = _arguments(args, kwargs)
    if not is_training or not 0 < p < 1 or not values.numel():
        return None
    if func in _UNITS:
        return Draw(tuple(values.shape), tuple(torch.empty_like(values).stride()), values.dtype, p)
    if values.dim() < 3:
        return None
    shape = (*values.shape[:2], *(1,) * (values.dim() - 2))
    return Draw(shape, tuple(values.new_empty(shape).stride()), values.dtype, p)


def _arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Tensor, float, bool, bool]:
    """(input, p, whether in training, whether in place) of a call of torch's dropout functions."""
    named = dict(zip(("input", "p", "training", "inplace"), args, strict=False)) | dict(kwargs)
    training = named.get("training", named.get("train", True))
    return named["input"], float(named.get("p", 0.5)), bool(training), bool(named.get("inplace", False))
