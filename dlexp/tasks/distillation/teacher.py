"""A trained network from whose outputs another one learns.

Symbols: B samples in a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlexp.tasks.base import Task, forward
from dlexp.types import Field


@dataclass(frozen=True)
class Teacher:
    """A trained network that is never trained further: without gradients and in evaluation mode.

    Attributes:
        network: The network.
        task: The task that it was trained for, which knows what its outputs mean.
        run: The directory that its weights come from.
        fingerprint: SHA-256 of how it is built and of its weights.
        notes: What a person should know of it.
    """

    network: nn.Module
    task: Task
    run: str
    fingerprint: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.network.requires_grad_(False).eval()

    def outputs(self, inputs: Field) -> Tensor:
        """The outputs of the network for a batch of inputs (B, ...), without a graph: (B, num_outputs)."""
        with torch.no_grad():  # not inference mode, whose tensors a loss could not save for its gradient
            return forward(self.network, inputs)
