"""Descriptions of sequences: series, tokens, and what is learned of them.

Symbols: B samples in a batch, T positions of the longest sequence of a batch, U positions of the longest target, C
classes, H steps of a horizon, V values that are forecast at each step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from dlexp.spec_base import InputSpec, TargetSpec
from dlexp.text.vocabulary import Vocabulary
from dlexp.types import Field, Sequences


def zeros_like(inputs: Field) -> Sequences:
    """int64 zeros of the lengths of sequences. Raises TypeError for inputs that are none."""
    if not isinstance(inputs, Sequences):
        raise TypeError(f"must be sequences, got {type(inputs).__name__}")
    return Sequences(torch.zeros(inputs.mask.shape, dtype=torch.int64, device=inputs.lengths.device), inputs.lengths)


@dataclass(frozen=True)
class SeriesSpec(InputSpec):
    """Time series: a batch is `Sequences` of (B, T, num_channels) float32, of at most `max_length` steps."""

    num_channels: int
    max_length: int

    kind: ClassVar[str] = "series"

    def blank(self) -> Sequences:
        """One series of the greatest length."""
        return Sequences(torch.zeros(1, self.max_length, self.num_channels), torch.tensor([self.max_length]))

    def model_arguments(self) -> dict[str, Any]:
        """Channels and greatest length."""
        return {"in_channels": self.num_channels, "max_length": self.max_length}


@dataclass(frozen=True)
class TokenSpec(InputSpec):
    """Token ids: a batch is `Sequences` of (B, T) int64 in [0, vocabulary_size), of at most `max_length` tokens.

    vocabulary  how texts become ids, None for ids that are no texts
    """

    vocabulary_size: int
    max_length: int
    vocabulary: Vocabulary | None = None

    kind: ClassVar[str] = "tokens"

    def blank(self) -> Sequences:
        """One sequence of zeros of the greatest length."""
        return Sequences(torch.zeros(1, self.max_length, dtype=torch.int64), torch.tensor([self.max_length]))

    def model_arguments(self) -> dict[str, Any]:
        """Size of the vocabulary and greatest length."""
        return {"vocabulary_size": self.vocabulary_size, "max_length": self.max_length}


@dataclass(frozen=True)
class TokenTargetSpec(TargetSpec):
    """Token ids to learn, of their own number for each sample: a batch is `Sequences` of (B, U) int64.

    max_length  largest U
    begin, end  the token that a decoder starts from, which is in no target, and the last one of each target; None for
                targets without, as those of an alignment
    vocabulary  how ids become texts, None for ids that are no texts; another one than that of the inputs
    """

    vocabulary_size: int
    max_length: int
    begin: int | None = None
    end: int | None = None
    vocabulary: Vocabulary | None = None

    kind: ClassVar[str] = "tokens"

    @property
    def num_outputs(self) -> int:
        """A score for each token of the vocabulary."""
        return self.vocabulary_size

    def model_arguments(self) -> dict[str, Any]:
        """The number of outputs, the greatest length and the first token; one output for each input position."""
        return {
            **super().model_arguments(),
            "target_max_length": self.max_length,
            "begin": self.begin,
            "per_position": True,
        }

    def blank(self) -> Sequences:
        """One sequence of zeros of the greatest length."""
        return Sequences(torch.zeros(1, self.max_length, dtype=torch.int64), torch.tensor([self.max_length]))


@dataclass(frozen=True)
class NextTokenSpec(TargetSpec):
    """The token after each position of the inputs: a batch is `Sequences` of (B, T) int64 beside (B, T) inputs.

    A target of -1 is not counted: its position is context alone.

    vocabulary       that of the inputs too; None for ids that are no texts
    bytes_per_token  bytes of UTF-8 of the training text for each of its tokens, with the white space between words; 0
                     where it is not known
    """

    vocabulary_size: int
    max_length: int
    vocabulary: Vocabulary | None = None
    bytes_per_token: float = 0.0

    kind: ClassVar[str] = "next_tokens"

    @property
    def num_outputs(self) -> int:
        """A score for each token of the vocabulary."""
        return self.vocabulary_size

    def model_arguments(self) -> dict[str, Any]:
        """The number of outputs, at each position."""
        return {**super().model_arguments(), "per_position": True}

    def aligned(self, inputs: Field) -> Sequences:
        """Zeros, as many for each sequence as it has positions. Raises TypeError for inputs that are no sequences."""
        return zeros_like(inputs)

    def blank(self) -> Sequences:
        """One sequence of zeros of the greatest length."""
        return Sequences(torch.zeros(1, self.max_length, dtype=torch.int64), torch.tensor([self.max_length]))


@dataclass(frozen=True)
class TagSpec(TargetSpec):
    """A class for each position of the inputs: a batch is `Sequences` of (B, T) int64 class numbers.

    names   of the C classes
    counts  training positions of each class; () where they are not measured yet
    """

    names: tuple[str, ...]
    max_length: int
    counts: tuple[int, ...] = ()

    kind: ClassVar[str] = "tags"

    def model_arguments(self) -> dict[str, Any]:
        """The number of outputs, at each position."""
        return {**super().model_arguments(), "per_position": True}

    def loss_arguments(self) -> dict[str, Any]:
        """Positions of each class."""
        return {"class_counts": self.counts}

    def aligned(self, inputs: Field) -> Sequences:
        """Zeros, as many for each sequence as it has positions. Raises TypeError for inputs that are no sequences."""
        return zeros_like(inputs)

    def blank(self) -> Sequences:
        """One sequence of zeros of the greatest length."""
        return Sequences(torch.zeros(1, self.max_length, dtype=torch.int64), torch.tensor([self.max_length]))

    def measured(self, targets: Iterable[Field]) -> Self:
        """With the positions of each class, where they are not counted yet."""
        if self.counts:
            return self
        counts = torch.zeros(len(self.names), dtype=torch.int64)
        for piece in targets:
            assert isinstance(piece, Sequences)
            counts += torch.bincount(piece.values[piece.mask], minlength=len(self.names)).cpu()
        return replace(self, counts=tuple(counts.tolist()))


@dataclass(frozen=True)
class CaptionSpec(TargetSpec):
    """A text for each image: a batch is `values` (B, U) int64 token ids, zeros behind each text, and more by name.

    `lengths` (B,) int64, in [1, U]; `image` (B,) int64, equal for texts of one image; `label` (B,) int64 class numbers,
    -1 for none.

    vocabulary  how texts become ids
    max_length  U
    names       of the C classes; () where images have none
    prompts     texts of a class, in which {} stands for its name
    """

    vocabulary: Vocabulary
    max_length: int
    names: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()

    kind: ClassVar[str] = "captions"

    @property
    def num_outputs(self) -> int:
        """0: the task says how many numbers stand for an image."""
        return 0

    def model_arguments(self) -> dict[str, Any]:
        """Size of the vocabulary and greatest length of the texts."""
        return {"target_vocabulary_size": len(self.vocabulary), "target_max_length": self.max_length}

    def blank(self) -> dict[str, Tensor]:
        """A text of one unknown token."""
        one = torch.ones(1, dtype=torch.int64)
        values = torch.zeros(1, self.max_length, dtype=torch.int64)
        return {"values": values, "lengths": one, "image": one - 1, "label": -one}

    def encoded(self, texts: Sequence[str]) -> Sequences:
        """Texts as ids, cut after U tokens."""
        ids = [self.vocabulary.encode(text)[: self.max_length] for text in texts]
        values = torch.zeros(len(ids), self.max_length, dtype=torch.int64)
        for row, one in enumerate(ids):
            values[row, : len(one)] = torch.tensor(one, dtype=torch.int64)
        return Sequences(values, torch.tensor([len(one) for one in ids], dtype=torch.int64))


@dataclass(frozen=True)
class ForecastSpec(TargetSpec):
    """The steps after a window: a batch is (B, H, V) float64 in the units of the series.

    names     of the V values
    horizon   H
    mean      of each value over the training part
    std       its standard deviation there, above 0
    period    steps of a season, 1 for none: of the seasonal naive forecast and of `naive_error`
    series    names of the series; () for one without a name
    firsts    the number of the first sample of each series, increasing, so that a sample's number tells its series
    naive_error  mean |y[t] - y[t - period]| of each series and value over the training part, which MASE divides by; 0
                 where it is undefined
    """

    names: tuple[str, ...]
    horizon: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    period: int = 1
    series: tuple[str, ...] = ()
    firsts: tuple[int, ...] = (0,)
    naive_error: tuple[tuple[float, ...], ...] = ()

    kind: ClassVar[str] = "forecast"

    @property
    def output_names(self) -> tuple[str, ...]:
        """Each value at each step, such as `load+1`: H blocks of V."""
        return tuple(f"{name}+{step}" for step in range(1, self.horizon + 1) for name in self.names)

    def blank(self) -> Tensor:
        """(1, H, V) float64, all of them the mean."""
        mean = torch.tensor(self.mean, dtype=torch.float64)
        return mean.expand(1, self.horizon, len(self.names)).clone()
