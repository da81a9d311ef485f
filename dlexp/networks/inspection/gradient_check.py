"""Gradients of a loss compared with numerical ones, for every tensor that it depends on.

Symbols: N elements of a tensor, L the loss, h the step of a difference.

Each tensor is checked at sampled elements, half of them those of the largest gradients, and along random directions
that move all N elements at once, so that one wrong element of a million is noticed too, and found by halving. The
numerical derivative is the central difference (L(x + h) - L(x - h)) / 2h in float64. Where the two do not agree, a
second step of h / 10 decides. At a point without a derivative (a kink) the slopes on both sides stay apart however
small the step is, or the two steps contradict each other; a wrong gradient differs from both in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import isfinite, sqrt

import torch
from torch import Tensor

_FINER = 10.0  # the first step by the second
_ROUNDING = 50 * torch.finfo(torch.float64).eps  # of a loss, relative: sums of many terms
_SHRINKING = (
    0.3  # a gap between the slopes of both sides that shrinks below this share, with a tenth of the step, closes
)
_UNSURE = 0.2  # of a difference from the gradient: two steps that differ by more prove nothing
_MOST_KINKS = 16  # elements without a derivative that are left out of a direction
_ATTEMPTS = 3  # elements tried for each that is to be checked

Position = tuple[int, ...]


@dataclass(frozen=True)
class CheckSettings:
    """How gradients are checked.

    Attributes:
        entries: Elements of each tensor that are compared.
        directions: Random directions of each tensor that are compared.
        tolerance: Largest relative error of a correct gradient.
        step: h, for elements up to 1; relative to larger ones.
    """

    entries: int = 8
    directions: int = 2
    tolerance: float = 1e-4
    step: float = 1e-5


@dataclass(frozen=True)
class Derivative:
    """A derivative by the gradient and by a difference.

    Attributes:
        position: Of the element, None for a direction through all elements.
        analytic: By the gradient.
        numeric: By the central difference.
        error: |analytic - numeric| / max(|analytic|, |numeric|), where both are above rounding.
        is_kink: There is no derivative here, so nothing was compared.
        moves: Whether the loss changes at all.
    """

    position: Position | None
    analytic: float
    numeric: float
    error: float
    is_kink: bool = False
    moves: bool = True


@dataclass(frozen=True)
class TensorCheck:
    """The comparison of one tensor.

    Attributes:
        name: Of the tensor.
        shape: Of the tensor.
        compared: Elements and directions that were compared.
        kinks: Elements and directions without a derivative.
        worst: The comparison with the largest error, None if none was made.
        largest_gradient: Largest absolute element of the gradient.
        reached: Whether the loss depends on the tensor: a gradient or a difference that is not 0.
        is_wrong: Whether an error is above the tolerance.
    """

    name: str
    shape: tuple[int, ...]
    compared: int
    kinks: int
    worst: Derivative | None
    largest_gradient: float
    reached: bool
    is_wrong: bool

    @property
    def verdict(self) -> str:
        """ok, wrong, unused (the loss does not depend on it) or unchecked (kinks everywhere)."""
        if self.is_wrong:
            return "wrong"
        if self.worst is None:
            return "unchecked"
        return "ok" if self.reached else "unused"


def check_gradients(
    loss: Callable[[], Tensor],
    tensors: Mapping[str, Tensor],
    settings: CheckSettings,
    generator: torch.Generator,
) -> Iterator[TensorCheck]:
    """Compare the gradient of every tensor with numerical ones, one tensor after another.

    The tensors are moved for a moment and put back to the bit; no gradient is accumulated in them.

    Args:
        loss: Computes L, shape () float64, from `tensors`; equal tensors must give the same bits.
        tensors: Name -> leaf of float64 that requires a gradient.
        settings: How many elements, the step and the tolerance.
        generator: Draws elements and directions.
    """
    value = loss()
    found = torch.autograd.grad(value, list(tensors.values()), allow_unused=True) if value.requires_grad else ()
    gradients = dict(zip(tensors, found, strict=False))
    here = float(value.detach())
    for name, tensor in tensors.items():
        given = gradients.get(name)
        gradient = torch.zeros_like(tensor) if given is None else given.detach().to_dense()
        yield _Check(loss, name, tensor, gradient, settings, here).run(generator)


class _Check:
    """The comparison of one tensor with its gradient."""

    def __init__(
        self,
        loss: Callable[[], Tensor],
        name: str,
        tensor: Tensor,
        gradient: Tensor,
        settings: CheckSettings,
        here: float,
    ) -> None:
        self._loss, self._name, self._tensor, self._gradient = loss, name, tensor, gradient
        self._settings, self._here = settings, here
        self._size = max(abs(here), torch.finfo(torch.float64).tiny)

    def run(self, generator: torch.Generator) -> TensorCheck:
        """Compare directions, then elements until enough have a derivative."""
        if not torch.isfinite(self._gradient).all():
            return self._not_finite()
        drawn = [_signs(self._tensor, generator) for _ in range(self._settings.directions)]
        made = [self._along(direction) for direction in drawn if direction.numel() > 1]
        checked = 0
        for position in self._positions(generator):
            made.append(self._at(position))
            checked += not made[-1].is_kink
            if checked >= self._settings.entries:
                break
        valid = [one for one in made if not one.is_kink]
        worst = max(valid, key=lambda one: one.error, default=None)
        largest = float(self._gradient.abs().max()) if self._gradient.numel() else 0.0
        return TensorCheck(
            self._name,
            tuple(self._tensor.shape),
            len(valid),
            len(made) - len(valid),
            worst,
            largest,
            largest > 0 or any(one.moves for one in made),
            worst is not None and worst.error > self._settings.tolerance,
        )

    def _not_finite(self) -> TensorCheck:
        """A gradient with NaN or infinities is wrong: the loss is finite."""
        bad = (~torch.isfinite(self._gradient)).flatten().nonzero()[0].item()
        position = _position(int(bad), self._tensor.shape)
        one = Derivative(position, float(self._gradient[position]), float("nan"), float("inf"))
        return TensorCheck(self._name, tuple(self._tensor.shape), 1, 0, one, float("inf"), True, True)

    def _positions(self, generator: torch.Generator) -> list[Position]:
        """Half of them with the largest gradients, the others drawn; more than are needed, in turn."""
        number, wanted = self._tensor.numel(), self._settings.entries * _ATTEMPTS
        largest = self._gradient.abs().flatten().topk(min(wanted, number)).indices.tolist()
        drawn = torch.randint(number, (wanted,), generator=generator).tolist() if number else []
        mixed = [place for pair in zip(largest, drawn, strict=False) for place in pair]
        chosen = dict.fromkeys([*mixed, *largest, *drawn])
        return [_position(place, self._tensor.shape) for place in list(chosen)[:wanted]]

    def _at(self, position: Position) -> Derivative:
        base = self._tensor.detach()[position].clone()

        def moved(step: float) -> float:
            return self._value(lambda: self._put(position, base + step), lambda: self._put(position, base))

        step = self._settings.step * max(1.0, abs(float(base)))
        return self._compare(position, float(self._gradient[position]), moved, step)

    def _along(self, direction: Tensor) -> Derivative:
        """The derivative along `direction`, whose elements are 1 or -1.

        Where it differs, the element that is responsible is looked for. A kink there is left out of the direction, so
        that it hides no other element; a wrong element is the result.
        """
        one = self._directional(direction)
        for _ in range(_MOST_KINKS):
            if one.error <= self._settings.tolerance:
                return one
            place = self._responsible(direction)
            element = self._at(_position(place, self._tensor.shape))
            if not element.is_kink:
                return element if element.error > self._settings.tolerance else replace(one, is_kink=True)
            direction = direction.flatten().index_fill(0, torch.tensor(place), 0.0).view_as(direction)
            one = self._directional(direction)
        return replace(one, is_kink=True)

    def _directional(self, direction: Tensor) -> Derivative:
        analytic = float((self._gradient * direction).sum())
        return self._compare(None, analytic, self._moving(direction), self._direction_step(direction))

    def _direction_step(self, direction: Tensor) -> float:
        """Smaller for many elements, which move together."""
        return self._settings.step * min(1.0, _FINER / sqrt(direction.numel()))

    def _moving(self, direction: Tensor) -> Callable[[float], float]:
        base = self._tensor.detach().clone()

        def moved(step: float) -> float:
            def move() -> None:
                self._tensor.detach().copy_(base).add_(direction, alpha=step)

            return self._value(move, lambda: self._tensor.detach().copy_(base))

        return moved

    def _responsible(self, direction: Tensor) -> int:
        """The number of the element with most of the difference along `direction`, by halving."""
        low, high, step = 0, direction.numel(), self._direction_step(direction)
        flat = direction.flatten()
        while high - low > 1:
            middle = (low + high) // 2
            apart = []
            for start, end in ((low, middle), (middle, high)):
                part = torch.zeros_like(flat)
                part[start:end] = flat[start:end]
                whole = part.view_as(direction)
                central = _Slopes.of(self._moving(whole), step).central
                apart.append(abs(float((self._gradient * whole).sum()) - central))
            low, high = (low, middle) if apart[0] >= apart[1] else (middle, high)
        return int(low)

    def _put(self, position: Position, value: Tensor) -> None:
        self._tensor.detach()[position] = value

    def _value(self, move: Callable[[], object], back: Callable[[], object]) -> float:
        move()
        try:
            with torch.no_grad():
                return float(self._loss().detach())
        finally:
            back()

    def _compare(
        self, position: Position | None, analytic: float, moved: Callable[[float], float], step: float
    ) -> Derivative:
        first = _Slopes.of(moved, step)
        moves = first.below != self._here or first.above != self._here
        error = self._error(analytic, first.central, step)
        is_symmetric = moves and analytic == 0  # perhaps a kink with opposite slopes, as of an absolute value
        if error <= self._settings.tolerance and not is_symmetric:
            return Derivative(position, analytic, first.central, error, moves=moves)
        second = _Slopes.of(moved, step / _FINER)
        rounding = 2 * _ROUNDING * self._size * _FINER / step
        kink = _is_kink(analytic, first, second, self._here, rounding)
        finer = self._error(analytic, second.central, step / _FINER)
        if finer <= self._settings.tolerance:  # a kink between the two steps, or none
            return Derivative(position, analytic, second.central, finer, kink and is_symmetric, moves)
        return Derivative(position, analytic, first.central, error, kink, moves)

    def _error(self, analytic: float, numeric: float, step: float) -> float:
        """The relative error; differences of the size of rounding stay below the tolerance."""
        floor = _ROUNDING * self._size / step / self._settings.tolerance
        error = abs(analytic - numeric) / max(abs(analytic), abs(numeric), floor)
        return error if isfinite(error) else float("inf")


@dataclass(frozen=True)
class _Slopes:
    """The loss at x - h and x + h."""

    step: float
    below: float
    above: float

    @classmethod
    def of(cls, moved: Callable[[float], float], step: float) -> _Slopes:
        return cls(step, moved(-step), moved(step))

    @property
    def central(self) -> float:
        return (self.above - self.below) / (2 * self.step)

    def sides(self, here: float) -> tuple[float, float]:
        """The slopes on both sides, the smaller one first."""
        low, high = sorted(((here - self.below) / self.step, (self.above - here) / self.step))
        return low, high


def _is_kink(analytic: float, first: _Slopes, second: _Slopes, here: float, rounding: float) -> bool:
    """Whether there is no derivative: one side agrees with the gradient, or the two steps contradict each other."""
    if abs(first.central - second.central) > _UNSURE * abs(analytic - second.central) + rounding:
        return True
    coarse, fine = first.sides(here), second.sides(here)
    gap, before = fine[1] - fine[0], coarse[1] - coarse[0]
    stays = gap > max(_SHRINKING * before, rounding)
    slack = 0.05 * gap + rounding
    return stays and fine[0] - slack <= analytic <= fine[1] + slack


def _signs(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """1 or -1 for each element."""
    drawn = torch.randint(2, tuple(tensor.shape), generator=generator)
    return (2 * drawn - 1).to(tensor.device, tensor.dtype)


def _position(place: int, shape: torch.Size) -> Position:
    """The position of element number `place`."""
    return tuple(int(part) for part in torch.unravel_index(torch.tensor(place), shape))
