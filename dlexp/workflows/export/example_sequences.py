"""Random sequences to check an exported network on, of other lengths in each batch.

Symbols: B samples of a batch, T positions of its longest sequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from dlexp.runtime.seed import generator
from dlexp.sequence_specs import SeriesSpec, TokenSpec
from dlexp.types import Field, Sequences

_LENGTHS = (5, 12)  # T of the batches, where the data have sequences as long


def random_sequences(spec: TokenSpec | SeriesSpec, sizes: Sequence[int]) -> Iterator[Sequences]:
    """Batches of B = each of `sizes`, with lengths from 1 to T, one of them T; tokens, or standard normal steps."""
    for number, size in enumerate(sizes):
        source = generator(0, "export", number)
        longest = max(2, min(_LENGTHS[number % 2], spec.max_length - 1 + number % 2))
        lengths = torch.randint(1, longest + 1, (size,), generator=source)
        lengths[0] = longest
        if isinstance(spec, TokenSpec):
            values = torch.randint(0, spec.vocabulary_size, (size, longest), generator=source)
        else:
            values = torch.randn(size, longest, spec.num_channels, generator=source)
        found = Sequences(values, lengths)
        yield Sequences(values * found.mask.view(size, longest, *[1] * (values.ndim - 2)), lengths)


def copied(inputs: Field) -> Field:
    """The same values in memory of their own."""
    if isinstance(inputs, Tensor):
        return inputs.contiguous().clone()
    if isinstance(inputs, Sequences):
        return Sequences(inputs.values.clone(), inputs.lengths.clone())
    return {name: value.clone() for name, value in inputs.items()}
