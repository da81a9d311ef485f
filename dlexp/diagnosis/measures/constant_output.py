"""The loss of the best constant output: what a network reaches that has learned the targets and nothing of the inputs.

Symbols: B samples of a batch, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from dlexp.engine.evaluate import seeded
from dlexp.networks.inspection.outputs import as_found, recording
from dlexp.runtime.seed import kept_randomness
from dlexp.tasks.base import Task
from dlexp.types import Batch

_ROUNDS = 30  # of L-BFGS; a convex loss needs fewer than ten


class _Constant(nn.Module):
    """A network whose outputs (B, O) are the same for every sample."""

    def __init__(self, values: Tensor, samples: int) -> None:
        super().__init__()
        self.values, self.samples = nn.Parameter(values), samples

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        """The outputs (B, O)."""
        return self.values.expand(self.samples, -1)


def best_constant_loss(task: Task, networks: nn.ModuleDict, batches: Sequence[Batch], seed: int) -> float | None:
    """The lowest mean loss over `batches` that outputs have which are the same for every sample.

    None where there is no such number: outputs of another shape than (B, O), several phases or networks, or a loss
    that does not accept constant outputs.

    Args:
        task: Gives the loss.
        networks: Left as they are.
        batches: Samples with targets.
        seed: Of the run, for losses that draw noise.
    """
    if list(task.phases) != ["train"] or "model" not in networks or not batches:
        return None
    try:
        with kept_randomness(), as_found(networks):
            width = _width(task, networks, batches[0])
            return None if width is None else _lowest(task, networks, batches, width, seed)
    except (RuntimeError, ValueError, TypeError, AttributeError, KeyError, IndexError):  # of tasks that need more
        return None


def _width(task: Task, networks: nn.ModuleDict, batch: Batch) -> int | None:
    """O, None for outputs of another shape."""
    shapes: list[tuple[int, ...]] = []
    with (
        torch.no_grad(),
        recording({"model": networks["model"]}, lambda name, module, output: shapes.append(tuple(output.shape))),
    ):
        task.predict(dict(networks.items()), batch)
    return shapes[-1][1] if shapes and len(shapes[-1]) == 2 and shapes[-1][0] == len(batch) else None


def _lowest(task: Task, networks: nn.ModuleDict, batches: Sequence[Batch], width: int, seed: int) -> float | None:
    device = next((p.device for p in networks.parameters()), torch.device("cpu"))
    network = _Constant(torch.zeros(width, device=device), len(batches[0]))
    given = {**dict(networks.items()), "model": network}
    count = sum(map(len, batches))

    def mean() -> Tensor:
        total = torch.zeros((), device=device)
        for batch in seeded(batches, seed):
            network.samples = len(batch)
            total = total + task.predict(given, batch).loss * len(batch)
        return total / count

    optimizer = torch.optim.LBFGS(network.parameters(), max_iter=_ROUNDS, line_search_fn="strong_wolfe")

    def closure() -> float:
        loss = mean()
        (network.values.grad,) = torch.autograd.grad(loss, [network.values])
        return float(loss.detach())

    optimizer.step(closure)
    with torch.no_grad():
        found = float(mean())
    return found if isfinite(found) else None
