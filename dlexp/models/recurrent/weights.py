"""Initialization of recurrent layers.

Symbols: D size of the input of a step, H units, G products of a unit.
"""

from __future__ import annotations

import torch
from torch import nn

from dlexp.models.recurrent.layers import Recurrence

RECURRENT_INITS = ("default", "orthogonal")


def initialize_recurrence(recurrence: Recurrence, scheme: str, forget_bias: float | None = None) -> None:
    """Initialize one direction of a layer.

    Args:
        recurrence: The direction; modified.
        scheme: default (of torch: uniform in +-1/sqrt(H)), or orthogonal: the matrix of the state of each gate is
            orthogonal, which preserves its norm over many steps (Saxe et al. 2014, arXiv:1312.6120), those of the input
            are Xavier's, biases are 0.
        forget_bias: Bias of the forget gate of an LSTM at the start; 1 keeps the memory (Jozefowicz et al. 2015); None
            leaves it to the scheme.

    Raises ValueError for an unknown scheme.
    """
    if scheme not in RECURRENT_INITS:
        raise ValueError(f"unknown recurrent_init={scheme!r}; available: {', '.join(RECURRENT_INITS)}")
    biases = [p for name, p in recurrence.named_parameters() if "bias" in name]
    if scheme == "orthogonal":
        for name, parameter in recurrence.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)
                continue
            units = min(parameter.shape) if _is_of_state(name) else recurrence.weights()[1].shape[1]
            with torch.no_grad():
                for gate in parameter.split(units):
                    (nn.init.orthogonal_ if _is_of_state(name) else nn.init.xavier_uniform_)(gate)
    if forget_bias is not None:
        units = len(biases[0]) // 4
        with torch.no_grad():
            for bias, value in zip(biases, (forget_bias, 0.0), strict=True):
                bias[units : 2 * units] = value


def _is_of_state(name: str) -> bool:
    """Whether a weight multiplies the state: `weight_hh_l0` of torch, `from_state` and `from_reset_state` of cells."""
    return "weight_hh" in name or "state" in name
