"""Updates watched one by one: losses, gradients and how far they move the weights.

The updates are those of the one loop, `engine.loop.course`, made by the one `train_step`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log2, sqrt

import numpy as np
import torch
from torch import Tensor, nn

from dlexp.diagnosis.case import Trace
from dlexp.diagnosis.measures.failure import locate_failure
from dlexp.engine.loop import Course, Update
from dlexp.engine.step import StepRules, train_step
from dlexp.errors import Diverged, Interrupted

Number = Tensor | float

_TINY = 1e-30
_WATCHED = 50  # updates whose weights are compared, evenly spaced
_FULL_DIGITS = 24  # of fp32


def watch(course: Course[str], updates: int) -> Trace:
    """Make at most `updates` updates of a course, and measure them; the state of the course moves with them.

    A course that ends sooner, or is not finite any more, ends the trace.

    Args:
        course: Of the loop, before its first update.
        updates: The most that are made.
    """
    trace, every = _Trace(), max(1, updates // _WATCHED)
    try:
        update = next(course)
        for number in range(updates):
            trace.make(update, is_watched=number % every == 0)
            if number + 1 < updates:
                update = course.send(True)
    except StopIteration:
        pass
    except Diverged as error:
        trace.failed_at, trace.failure = trace.made, error.what
        trace.failed_in, trace.failed_name = locate_failure(update)
    except Interrupted:
        pass
    finally:
        course.close()
    return trace.result()


@dataclass
class _Trace:
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    failed_at: int | None = None
    failure: str = ""
    failed_in: str = ""
    failed_name: str = ""
    made: int = 0
    _clipped: int = 0
    _ratios: dict[str, list[float]] = field(default_factory=dict)
    _gradients: dict[str, list[float]] = field(default_factory=dict)
    _rounded: dict[str, list[float]] = field(default_factory=dict)
    _sum: dict[str, Tensor] = field(default_factory=dict)
    _squares: float = 0.0
    _watched: int = 0

    def make(self, update: Update, *, is_watched: bool) -> None:
        """Make an update. Raises Diverged."""
        state, networks = update.state, update.state.networks
        weights = {name: p for name, p in networks.named_parameters() if p.requires_grad}
        before = {name: p.detach().clone() for name, p in weights.items()} if is_watched else {}
        sums = dict(state.sums.totals())
        norm = _Norm(weights)
        rules = _watched_rules(update.rules, norm)
        scale = state.scaler.get_scale()  # of fp16, that the gradient is multiplied by
        train_step(update.task, state, update.micro_batches, rules)
        if is_watched:
            self._compare(weights, before)
        self.losses.append(_added_mean(sums, dict(state.sums.totals())))
        self.norms.append(norm.value / scale)
        limit = update.rules.clip_norm
        self._clipped += limit is not None and norm.value / scale > limit
        if not all(bool(torch.isfinite(p).all()) for p in weights.values()):
            raise Diverged("a weight is not finite after the update", "")
        self.made += 1

    def _compare(self, weights: dict[str, nn.Parameter], before: dict[str, Tensor]) -> None:
        self._watched += 1
        for name, weight in weights.items():
            gradient = weight.grad
            if weight.dim() > 1:
                change = float((weight.detach() - before[name]).norm())
                self._ratios.setdefault(name, []).append(change / max(float(before[name].norm()), _TINY))
            if gradient is None:
                continue
            plain = gradient.detach().to_dense().float()
            if digits_of(weight.dtype) < _FULL_DIGITS and bool(plain.any()):
                is_asked = plain != 0
                stays = is_asked & (weight.detach() == before[name])
                self._rounded.setdefault(name, []).append(float(stays.sum()) / float(is_asked.sum()))
            if weight.dim() > 1:
                self._gradients.setdefault(name, []).append(float(plain.norm()) / sqrt(plain.numel()))
            self._sum[name] = plain if name not in self._sum else self._sum[name] + plain
            self._squares += float(plain.square().sum())

    def result(self) -> Trace:
        """What was watched."""
        norm = sqrt(sum(float(one.square().sum()) for one in self._sum.values())) / max(1, self._watched)
        mean_square = self._squares / max(1, self._watched)
        return Trace(
            self.losses,
            self.norms,
            self._clipped,
            {name: float(np.median(values)) for name, values in self._ratios.items()},
            {name: float(np.median(values)) for name, values in self._gradients.items()},
            min(1.0, norm / sqrt(mean_square)) if mean_square > 0 else 0.0,
            self.failed_at,
            self.failure,
            self.failed_in,
            self.failed_name,
            rounded_away={name: float(np.median(values)) for name, values in self._rounded.items()},
        )


def digits_of(dtype: torch.dtype) -> int:
    """Binary digits of a number format: 24 of fp32, 11 of fp16, 8 of bf16; 24 for formats without fractions."""
    return 1 - round(log2(torch.finfo(dtype).eps)) if dtype.is_floating_point else _FULL_DIGITS


class _Norm:
    """The norm of the gradient as the backward pass leaves it, the last of an update."""

    def __init__(self, weights: dict[str, nn.Parameter]) -> None:
        self._weights, self.value = weights, 0.0

    def measure(self) -> None:
        gradients: Sequence[Tensor] = [p.grad for p in self._weights.values() if p.grad is not None]
        self.value = float(nn.utils.get_total_norm(gradients)) if gradients else 0.0


def _watched_rules(rules: StepRules, norm: _Norm) -> StepRules:
    def backward(loss: Tensor) -> None:
        rules.backward(loss)
        norm.measure()

    return replace(rules, backward=backward, graphs=None, check_every_step=True)


def _added_mean(before: Mapping[str, tuple[Number, Number]], after: Mapping[str, tuple[Number, Number]]) -> float:
    """The mean of the loss that was added to running sums; of the first loss, where there are several."""
    name = "loss" if "loss" in after else next(iter(after), "")
    if not name:
        return float("nan")
    total, weight = (float(after[name][i]) - float(before.get(name, (0.0, 0.0))[i]) for i in range(2))
    return total / weight if weight else float("nan")
