"""One token after another for each sequence of a batch, and what all ways of choosing tokens share.

Sequences that have ended leave the batch, so that no step is computed for them. Rows of a batch do not affect each
other: a batch of unlike lengths gives what each sequence gives alone.

Symbols: B sequences, b those that have not ended, U generated tokens, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dlexp.models.stepwise import DecodingState, StepwiseNetwork
from dlexp.types import Sequences

First = tuple[Tensor, DecodingState, Tensor | None]  # logits (B, V), state, and tokens that were put out (B, V) or None
Choice = Callable[[Tensor, Tensor, int], Tensor]  # logits (b, V), positions (b,) in the batch, step -> tokens (b,)


@dataclass(frozen=True)
class Generated:
    """Generated tokens.

    tokens    (B, U) without the token that ends a sequence, padded with zeros
    scores    (B,) float64: the sum of the logarithms of the probabilities of the tokens and of the end, as a
              repetition penalty changes them
    finished  (B,) bool: whether the end was put out within the largest number of tokens
    """

    tokens: Sequences
    scores: Tensor
    finished: Tensor


@dataclass(frozen=True)
class Limits:
    """What ends sequences, and what is put out less often.

    most     largest number of tokens, the end counted
    end      id of the token that ends a sequence; None where there is none, and all have the largest length
    penalty  see `GenerationOptions.repetition_penalty`
    """

    most: int
    end: int | None
    penalty: float = 1.0


def decode_stepwise(network: StepwiseNetwork, first: First, choose: Choice, how: Limits) -> Generated:
    """One sequence for each input; `first` are logits, state and seen tokens in front of the first token."""
    logits, state, seen = first
    count, device = len(logits), logits.device
    found = torch.zeros(count, how.most, dtype=torch.int64, device=device)
    lengths = torch.zeros(count, dtype=torch.int64, device=device)
    scores = torch.zeros(count, dtype=torch.float64, device=device)
    finished = torch.zeros(count, dtype=torch.bool, device=device)
    running, are_all = torch.arange(count, device=device), True
    for step in range(how.most if count else 0):
        wanted = penalized(logits, seen, how.penalty)
        tokens = choose(wanted, running, step)
        gained = wanted.double().log_softmax(-1).gather(1, tokens[:, None])[:, 0]
        if are_all:  # a step of a small network takes less time than a few writes by index
            scores += gained
        else:
            scores[running] += gained
        is_end = None if how.end is None else tokens == how.end
        if is_end is not None and bool(is_end.any()):
            over, kept = running[is_end], (~is_end).nonzero()[:, 0]
            finished[over], lengths[over] = True, step
            running, tokens, are_all = running[kept], tokens[kept], False
            if not len(running):
                break
            if step + 1 < how.most:
                state, seen = state.select(kept), None if seen is None else seen[kept]
        if are_all:
            found[:, step] = tokens
        else:
            found[running, step] = tokens
        if step + 1 == how.most:
            lengths[running] = how.most
            break
        if seen is not None:
            seen.scatter_(1, tokens[:, None], True)
        logits, state = network.step(tokens, state)
    return Generated(Sequences(found[:, : int(lengths.max()) if count else 0], lengths), scores, finished)


def most_probable(logits: Tensor, running: Tensor, step: int) -> Tensor:
    """The token of the largest logit; of equals the first."""
    return logits.argmax(-1)


def penalized(logits: Tensor, seen: Tensor | None, penalty: float) -> Tensor:
    """Logits with the penalty of Keskar et al. (2019, arXiv:1909.05858)."""
    if seen is None:
        return logits
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)
