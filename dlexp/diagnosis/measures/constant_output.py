"""The losses of made-up outputs: the best equal ones for every sample, and those that are right for every sample.

Symbols: B samples, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, isfinite
from typing import Any

import torch
from torch import Tensor, nn

from dlexp.diagnosis.case import IdealLosses
from dlexp.engine.evaluate import seeded
from dlexp.errors import DlexpError
from dlexp.networks.inspection.outputs import as_found, recording
from dlexp.runtime.seed import kept_randomness
from dlexp.tasks.base import Task
from dlexp.types import Batch, as_tensor

_ITERATIONS = 30
# Of tasks that ask a network for more than its outputs.
_OTHERS = (ArithmeticError, AttributeError, DlexpError, IndexError, KeyError, RuntimeError, TypeError, ValueError)
_SCORE = 30.0  # a difference of logits for which float32 calls a class certain


def constant_loss(task: Task, networks: nn.ModuleDict, batches: Sequence[Batch], seed: int) -> float | None:
    """The smallest mean loss that equal outputs for all samples (and positions) of `batches` can have.

    For cross entropy this is the entropy of the shares of the classes, for the squared error the variance of the
    targets. It is found through the task itself, with a network that returns a constant.

    Args:
        task: Gives the loss.
        networks: With "model"; left as they are.
        batches: Of a split.
        seed: Of the run.

    Returns:
        None for a network that a task asks for more than its outputs, and for a loss without such a minimum.
    """
    try:
        with kept_randomness(), as_found(networks):
            shapes = _shapes(task, networks, batches, seed)
            return _minimum(lambda value: _loss(task, networks, batches, shapes, value, seed), _width(shapes[0]))
    except _OTHERS:
        return None


def ideal_losses(
    task: Task, networks: nn.ModuleDict, batches: Sequence[Batch], seed: int, num_classes: int
) -> IdealLosses | None:
    """The losses of outputs that name the right class of each sample; None where outputs are no scores of classes.

    Args:
        task: Gives the loss.
        networks: With "model"; left as they are.
        batches: Of a split, with class numbers (B,) as targets.
        seed: Of the run.
        num_classes: C.
    """
    found = []
    try:
        with kept_randomness(), as_found(networks), torch.no_grad():
            shapes = _shapes(task, networks, batches, seed)
            for wrong, right in ((0.0, 1.0), (0.0, _SCORE), (-1.0, 1.0)):
                total = weight = 0.0
                for batch, shape in zip(seeded(batches, seed), shapes, strict=True):
                    outputs = _right(batch, shape, num_classes) * (right - wrong) + wrong
                    if shape[-1] == 1 and wrong == 0 and right > 1:
                        outputs = 2 * outputs - right  # of one score for two classes, the sign tells
                    prediction = task.predict({**networks, "model": _Constant(outputs)}, batch)
                    total += float(prediction.loss) * len(batch)
                    weight += len(batch)
                found.append(total / weight)
        return IdealLosses(*found)
    except _OTHERS:
        return None


def _right(batch: Batch, shape: torch.Size, num_classes: int) -> Tensor:
    """1 for the right class, 0 for the others: (B, C), or (B, 1) for one score."""
    targets = as_tensor(batch.targets).long()
    if (
        len(shape) != 2
        or targets.dim() != 1
        or shape[1] not in (1, num_classes)
        or (shape[1] == 1 and num_classes != 2)
    ):
        raise ValueError("the outputs are no scores of classes")
    return targets[:, None].float() if shape[1] == 1 else nn.functional.one_hot(targets, num_classes).float()


class _Constant(nn.Module):
    """Returns the same outputs whatever it is given."""

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, *_: Any, **__: Any) -> Tensor:
        """-> the outputs."""
        return self.outputs


def _shapes(task: Task, networks: nn.ModuleDict, batches: Sequence[Batch], seed: int) -> list[torch.Size]:
    """The shape of the outputs for each batch."""
    shapes: list[torch.Size] = []
    only = {"model": networks["model"]}
    with torch.no_grad(), recording(only, lambda name, module, output: shapes.append(output.shape)):
        for batch in seeded(batches, seed):
            task.predict(dict(networks.items()), batch)
    if len(shapes) != len(batches):
        raise ValueError("the network is called more than once, or not at all, for a batch")
    return shapes


def _width(shape: torch.Size) -> tuple[int, bool]:
    """How many outputs there are, and whether they are channels of maps."""
    is_map = len(shape) == 4
    return shape[1 if is_map else -1] if len(shape) > 1 else 1, is_map


def _loss(
    task: Task, networks: nn.ModuleDict, batches: Sequence[Batch], shapes: list[torch.Size], value: Tensor, seed: int
) -> Tensor:
    total, weight = torch.zeros((), dtype=torch.float64), 0.0
    for batch, shape in zip(seeded(batches, seed), shapes, strict=True):
        spread = value[:, None, None] if len(shape) == 4 else value
        outputs = spread.to(batch.indices.device, torch.float32).expand(shape)
        prediction = task.predict({**networks, "model": _Constant(outputs)}, batch)
        total = total + prediction.loss.double().cpu() * prediction.loss_weight
        weight += prediction.loss_weight
    return total / weight


def _minimum(loss: Callable[[Tensor], Tensor], form: tuple[int, bool]) -> float | None:
    value = torch.zeros(form[0], dtype=torch.float64, requires_grad=True)
    found = [inf]
    optimizer = torch.optim.LBFGS([value], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        now = loss(value)
        (gradient,) = torch.autograd.grad(now, value, allow_unused=True)
        if gradient is None or not bool(torch.isfinite(now)):
            raise ValueError("the loss does not depend on the outputs")
        value.grad = gradient
        found.append(float(now.detach()))
        return now

    with torch.enable_grad():
        optimizer.step(closure)
    best = min(found)
    return best if isfinite(best) else None
