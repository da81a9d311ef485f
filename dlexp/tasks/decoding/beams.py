"""Beam search: the most probable sequence among those that stay near the best at each token.

Symbols: B sequences, b those that are not over, K beams of each, U generated tokens, V tokens of the vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dlexp.models.stepwise import DecodingState, StepwiseNetwork
from dlexp.tasks.decoding.steps import First, Generated, Limits, penalized
from dlexp.types import Sequences

_LOWEST = float("-inf")


@dataclass
class _Best:
    """The best whole sequence of each input so far.

    worth  (B,) scores divided by their number of tokens to the power of the length penalty
    """

    worth: Tensor
    scores: Tensor
    tokens: Tensor
    lengths: Tensor
    finished: Tensor

    def offer(self, rows: Tensor, worth: Tensor, scores: Tensor, tokens: Tensor, ends: bool) -> None:
        """Take in a sequence for each of the inputs `rows` (b,), where it is better: tokens (b, U)."""
        is_better = worth > self.worth[rows]
        rows, length = rows[is_better], tokens.shape[1]
        self.worth[rows], self.scores[rows] = worth[is_better], scores[is_better]
        self.tokens[rows, :length] = tokens[is_better]
        self.tokens[rows, length:] = 0
        self.lengths[rows], self.finished[rows] = length, ends


def beam_search(network: StepwiseNetwork, first: First, beam: int, length_penalty: float, how: Limits) -> Generated:
    """The best whole sequence of each input that K = `beam` partial sequences lead to.

    A partial sequence may end where its end is among the K best of all continuations. An input is over early when no
    partial sequence can become better than the best whole one: sums of logarithms of probabilities only fall, so the
    bound of a partial one is its sum over the penalty of the largest length.

    Args:
        network: In evaluation mode.
        first: In front of the first token.
        beam: K, at least 2.
        length_penalty: Power of the number of tokens, the end counted, that scores are divided by.
        how: Limits of the sequences.
    """
    logits, state, seen = first
    count, device, size = len(logits), logits.device, logits.shape[-1]
    best = _Best(
        torch.full((count,), _LOWEST, dtype=torch.float64, device=device),
        torch.zeros(count, dtype=torch.float64, device=device),
        torch.zeros(count, how.most, dtype=torch.int64, device=device),
        torch.zeros(count, dtype=torch.int64, device=device),
        torch.zeros(count, dtype=torch.bool, device=device),
    )
    rows = torch.arange(count, device=device)
    sums = torch.full((count, beam), _LOWEST, dtype=torch.float64, device=device)
    sums[:, 0] = 0
    tokens = torch.zeros(count, beam, 0, dtype=torch.int64, device=device)
    logits, state, seen = _chosen(logits, state, seen, rows.repeat_interleave(beam))
    for step in range(how.most if count else 0):
        log_p = penalized(logits, seen, how.penalty).double().log_softmax(-1)
        every = (sums[:, :, None] + log_p.view(len(rows), beam, size)).flatten(1)
        top, places = every.topk(min(2 * beam, every.shape[1]), -1)
        origin, token = places // size, places % size
        if how.end is not None:
            is_end = token == how.end
            _take_ends(best, rows, tokens, (top, origin, is_end), beam, (step + 1) ** length_penalty)
            top = top.masked_fill(is_end, _LOWEST)
        sums, order = top.sort(dim=-1, descending=True, stable=True)
        sums, order = _wide(sums, beam, _LOWEST), _wide(order, beam, 0)
        origin, token = origin.gather(1, order), token.gather(1, order)
        tokens = torch.cat([tokens.gather(1, origin[:, :, None].expand(-1, -1, step)), token[:, :, None]], -1)
        if step + 1 == how.most:
            best.offer(rows, sums[:, 0] / (step + 1) ** length_penalty, sums[:, 0], tokens[:, 0], how.end is None)
            break
        goes_on = (sums[:, 0] / how.most**length_penalty > best.worth[rows]).nonzero()[:, 0]
        if not len(goes_on):
            break
        places = (goes_on[:, None] * beam + origin[goes_on]).flatten()
        logits, state, seen = _chosen(logits, state, seen, places)
        rows, sums, tokens, token = rows[goes_on], sums[goes_on], tokens[goes_on], token[goes_on].flatten()
        if seen is not None:
            seen = seen.scatter(1, token[:, None], True)
        logits, state = network.step(token, state)
    longest = int(best.lengths.max()) if count else 0
    return Generated(Sequences(best.tokens[:, :longest], best.lengths), best.scores, best.finished)


def better(first: Generated, second: Generated, length_penalty: float) -> Generated:
    """Of each input the sequence with the higher score over its penalty: beams may lose the greedy one."""

    def worth(given: Generated) -> Tensor:
        return given.scores / (given.tokens.lengths + given.finished.long()).clamp(min=1) ** length_penalty

    is_first = worth(first) > worth(second)
    width = max(first.tokens.values.shape[1], second.tokens.values.shape[1])
    wide = [
        torch.nn.functional.pad(one.tokens.values, (0, width - one.tokens.values.shape[1])) for one in (first, second)
    ]
    lengths = torch.where(is_first, first.tokens.lengths, second.tokens.lengths)
    values = torch.where(is_first[:, None], wide[0], wide[1])
    return Generated(
        Sequences(values[:, : int(lengths.max()) if len(lengths) else 0], lengths),
        torch.where(is_first, first.scores, second.scores),
        torch.where(is_first, first.finished, second.finished),
    )


def _take_ends(
    best: _Best, rows: Tensor, tokens: Tensor, top: tuple[Tensor, Tensor, Tensor], beam: int, divisor: float
) -> None:
    """Offer the best of the ends among the first K continuations; `top`: sums, beams and whether each is an end."""
    sums, origin, is_end = top
    able = sums.masked_fill(~is_end, _LOWEST)[:, :beam]
    value, place = able.max(-1)
    chosen = origin.gather(1, place[:, None])[:, :, None].expand(-1, -1, tokens.shape[2])
    best.offer(rows, value / divisor, value, tokens.gather(1, chosen)[:, 0], True)


def _wide(values: Tensor, beam: int, fill: float) -> Tensor:
    """(b, n) -> (b, K): the first K, or filled up where a small vocabulary has fewer continuations."""
    lacking = beam - values.shape[1]
    return torch.nn.functional.pad(values, (0, lacking), value=fill) if lacking > 0 else values[:, :beam]


def _chosen(logits: Tensor, state: DecodingState, seen: Tensor | None, places: Tensor) -> First:
    return logits[places], state.select(places), None if seen is None else seen[places]
