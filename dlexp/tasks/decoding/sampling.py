"""Sampling of tokens: temperature, the k most probable ones, and the fewest with a probability of p together.

Symbols: B sequences, V tokens of the vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dlexp.runtime.seed import uniforms
from dlexp.tasks.decoding.options import GenerationOptions
from dlexp.tasks.decoding.steps import Choice

_LOWEST = float("-inf")


def sampler(options: GenerationOptions, rows: Tensor) -> Choice:
    """Draws by the inverse of the distribution function: one number for each (seed, sequence, step)."""

    def choose(logits: Tensor, running: Tensor, step: int) -> Tensor:
        limited = limited_logits(logits.double() / (options.temperature or 1.0), options.top_k, options.top_p)
        order = limited.sort(dim=-1, descending=True, stable=True)
        cumulative = order.values.softmax(-1).cumsum(-1)
        drawn = uniforms(options.seed, step, rows[running], 1, "generate").double()
        place = torch.searchsorted(cumulative, drawn * cumulative[:, -1:], right=True)
        last = order.values.isfinite().sum(-1, keepdim=True) - 1
        return order.indices.gather(1, torch.minimum(place, last))[:, 0]

    return choose


def limited_logits(logits: Tensor, top_k: int | None, top_p: float | None) -> Tensor:
    """(B, V) logits with -inf for all but the k largest, and for all but the fewest with a probability of p together.

    At least one is kept. top_p counts probabilities among what top_k keeps (Holtzman et al. 2020, arXiv:1904.09751).
    """
    if top_k is not None and top_k < logits.shape[-1]:
        places = logits.sort(dim=-1, descending=True, stable=True).indices[..., top_k:]
        logits = logits.scatter(-1, places, _LOWEST)
    if top_p is not None and top_p < 1:
        order = logits.sort(dim=-1, descending=True, stable=True)
        probabilities = order.values.softmax(-1)
        beyond = probabilities.cumsum(-1) - probabilities >= top_p
        beyond[..., 0] = False
        logits = logits.masked_fill(torch.zeros_like(beyond).scatter(-1, order.indices, beyond), _LOWEST)
    return logits
