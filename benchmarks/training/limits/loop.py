"""The limits: the fastest bare loops that we can write in PyTorch for what dlexp trains, and nothing else in them.

Data in memory, shuffled once an epoch and cut a whole batch at a time, fused AdamW, nothing read back in a step. After
an epoch they validate, as everybody does, and say nothing. If you find a faster one, put it in this folder:
what dlexp reaches is worth what its limit is worth.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness.turns import Turns

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_EVALUATED = 256  # samples of a forward pass that learns nothing, as dlexp's data.eval_batch_size


@dataclass(frozen=True)
class Work:
    """A network, its data and its number format.

    batches   the training batches (inputs, targets) of an epoch, in an order of their own
    val       inputs and targets of the validation split, ready for the network
    direct    call the optimizer's kernel, not the optimizer
    """

    network: nn.Module
    batches: Callable[[], Iterator[tuple[Tensor, Tensor]]]
    num_batches: int
    val: tuple[Tensor, Tensor]
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    direct: bool = False


class Kernel:
    """AdamW by a call of its kernel, without torch.optim around it, which costs an MLP more than the kernel does."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self._parameters, self._weights = parameters, [parameter.detach() for parameter in parameters]
        self._moments = [[torch.zeros_like(weight) for weight in self._weights] for _ in range(2)]
        self._updates = [torch.zeros((), device=weight.device) for weight in self._weights]

    def __call__(self) -> None:
        """One update."""
        torch._foreach_add_(self._updates, 1)
        first, second = self._moments
        torch._fused_adamw_(
            self._weights,
            [parameter.grad for parameter in self._parameters if parameter.grad is not None],
            first,
            second,
            [],
            self._updates,
            lr=2e-3,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.01,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )


def train(turns: Turns, work: Work) -> None:
    """Epoch after epoch."""
    parameters = list(work.network.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, fused=True)
    step: Callable[[], object] = Kernel(parameters) if work.direct else optimizer.step
    while True:
        work.network.train()
        samples = 0
        for number, (x, y) in enumerate(work.batches(), start=1):
            with work.autocast():
                loss = F.cross_entropy(
                    work.network(x).flatten(0, -2), y.flatten()
                )  # of all positions, where they have one
            loss.backward()
            step()
            for parameter in parameters:  # zero_grad() does this too, between marks for a profiler
                parameter.grad = None
            samples += len(y)
            turns.step(number, work.num_batches, samples)
        validate(work)
        turns.epoch(samples)


def validate(work: Work) -> tuple[float, float]:
    """Mean loss and accuracy over the validation split."""
    work.network.eval()
    loss = hits = 0.0
    with torch.inference_mode():
        for x, y in zip(*(part.split(_EVALUATED) for part in work.val), strict=True):
            with work.autocast():
                logits = work.network(x)
            loss += F.cross_entropy(logits.float().flatten(0, -2), y.flatten(), reduction="sum").item()
            hits += (logits.argmax(dim=-1) == y).sum().item()
    return loss / work.val[1].numel(), hits / work.val[1].numel()


def keep_memory() -> None:
    """Have glibc keep what is freed: else an unlucky process pays thousands of page faults a step."""
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    library.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    library.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
