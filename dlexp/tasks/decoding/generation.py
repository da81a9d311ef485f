"""Generation of tokens by the stepwise protocol alone: greedy, beams, sampling.

Symbols: B sequences, V tokens of the vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dlexp.models.stepwise import StepwiseNetwork
from dlexp.tasks.decoding.beams import beam_search, better
from dlexp.tasks.decoding.options import GenerationOptions
from dlexp.tasks.decoding.sampling import sampler
from dlexp.tasks.decoding.steps import Generated, Limits, decode_stepwise, most_probable
from dlexp.types import Sequences


@torch.no_grad()
def generate(
    network: StepwiseNetwork,
    inputs: Sequences,
    options: GenerationOptions,
    *,
    end: int | None,
    max_length: int,
    rows: Tensor | None = None,
    prompts: Sequences | None = None,
) -> Generated:
    """Generate tokens for each input.

    Args:
        network: In evaluation mode.
        inputs: Sources, or texts to continue.
        options: How.
        end: Id of the token that ends a sequence; None where there is none, and all have the largest length.
        max_length: Largest number of tokens, the end counted; `options.max_length` comes before it.
        rows: (B,) numbers that tell the sequences apart in sampling; None for 0 to B - 1.
        prompts: Tokens that count as put out before, for the repetition penalty; None for none.
    """
    how = Limits(options.max_length or max_length, end, options.repetition_penalty)
    logits, state = network.start(inputs.values, inputs.lengths)
    seen = _seen(how.penalty, logits, prompts)
    rows = torch.arange(len(inputs), device=logits.device) if rows is None else rows.to(logits.device)
    choose = sampler(options, rows) if options.samples else most_probable
    if options.beam == 1:
        return decode_stepwise(network, (logits, state, seen), choose, how)
    # Beams take a copy of the state first, since a step may change the state that it is given.
    wide = beam_search(network, (logits, state, seen), options.beam, options.length_penalty, how)
    return better(decode_stepwise(network, (logits, state, seen), choose, how), wide, options.length_penalty)


def _seen(penalty: float, logits: Tensor, prompts: Sequences | None) -> Tensor | None:
    """(B, V) bool: tokens that count as put out; None without a penalty."""
    if penalty == 1.0:
        return None
    seen = torch.zeros_like(logits, dtype=torch.bool)
    if prompts is not None and prompts.values.shape[1]:
        kept = torch.zeros(logits.shape, dtype=torch.int64, device=logits.device)
        seen = kept.scatter_add(1, prompts.values, prompts.mask.long()) > 0
    return seen
