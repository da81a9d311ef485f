"""The number that is explained, and a network that is left as it was.

Symbols: B samples, N rows that are computed together, S the shape of a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dlexp.errors import DlexpError
from dlexp.networks.modes import evaluation_mode
from dlexp.runtime.seed import kept_randomness

# values (N, *S), the number of the sample that each row belongs to (N,) int64 -> (N,) the number that is explained
Score = Callable[[Tensor, Tensor], Tensor]


class NotExplained(DlexpError):
    """A method that cannot explain this network, with the reason and another method."""

    default_code = "not-supported"


@contextmanager
def undisturbed(network: nn.Module) -> Iterator[None]:
    """Evaluation mode with fixed weights in the body; modes, gradients and random numbers are put back after it.

    Dropout is off and batch normalization uses its stored statistics. Weights need no gradient of their own, and their
    `.grad` is not touched.
    """
    wanted = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    # cuDNN differentiates recurrent layers in training mode only.
    is_recurrent = any(isinstance(module, nn.RNNBase) for module in network.modules())
    cudnn = torch.backends.cudnn.enabled
    for parameter, _ in wanted:
        parameter.requires_grad_(False)
    torch.backends.cudnn.enabled = cudnn and not is_recurrent
    try:
        with evaluation_mode(network), kept_randomness():
            yield
    finally:
        torch.backends.cudnn.enabled = cudnn
        for parameter, needs in wanted:
            parameter.requires_grad_(needs)


def row_numbers(values: Tensor) -> Tensor:
    """(B,) int64: the number of each sample of `values` (B, *S)."""
    return torch.arange(len(values), device=values.device)


def scores_of(score: Score, values: Tensor, rows: Tensor, at_once: int) -> Tensor:
    """(N,): the score of each row of `values` (N, *S), `at_once` rows at a time, without gradients."""
    with torch.no_grad():
        pieces = zip(values.split(at_once), rows.split(at_once), strict=True)
        return torch.cat([score(piece, which) for piece, which in pieces])
