"""Metrics of language models: sums over the tokens that count, so that windows and padding change no figure.

Symbols: B windows of a batch, T positions of the longest, N windows of a split, R resamples.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.row_store import RowStore
from dlexp.metrics.states import MetricState
from dlexp.sequence_specs import NextTokenSpec
from dlexp.types import Prediction

_LARGEST = 700.0  # nats, of which the exponential is still a float64 number
_FEW = 0.1  # of the tokens at the fullest position, below which a mean is noise
_SHOWN = 3  # windows whose tokens are kept for a picture


class ByteCounts:
    """Bytes of UTF-8 of tokens.

    A word counts what the training text has for a word on average, with the space around it; any other token its own
    bytes, and an unknown one none.
    """

    def __init__(self, spec: NextTokenSpec) -> None:
        vocabulary = spec.vocabulary
        self._average = spec.bytes_per_token
        is_known = vocabulary is not None and vocabulary.unit != "word"
        self._bytes = torch.tensor(vocabulary.token_bytes) if vocabulary is not None and is_known else None

    def of(self, tokens: Tensor) -> Tensor:
        """(B, T) int64 on the CPU, -1 for none -> (B,) float64."""
        counts = tokens >= 0
        if self._bytes is None:
            return counts.sum(1) * self._average
        return (self._bytes[tokens.clamp(min=0)] * counts).sum(1).double()


@dataclass(frozen=True)
class WindowSums:
    """Sums over the tokens of each of N windows, (N,) float64 each.

    surprise  in nats
    tokens    how many count
    num_bytes that they stand for
    hits      tokens that were the most probable ones
    """

    surprise: Floats
    tokens: Floats
    num_bytes: Floats
    hits: Floats

    def statistic(self, counts: Floats) -> dict[str, Floats]:
        """Counts (R, N) of the windows -> metric -> (R,), NaN for a resample without tokens, or without bytes."""
        surprise, tokens, num_bytes, hits = (counts @ part for part in vars(self).values())
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            mean = np.where(tokens > 0, surprise / tokens, np.nan)
            bits = surprise / log(2)
            return {
                "loss": mean,
                "bits_per_token": mean / log(2),
                "bits_per_byte": np.where(num_bytes > 0, bits / num_bytes, np.nan),
                "perplexity": np.exp(np.minimum(mean, _LARGEST)),
                "accuracy": np.where(tokens > 0, hits / tokens, np.nan),
            }


class TokenLossState(MetricState):
    """Mean surprise, bits, perplexity and accuracy, from five sums."""

    def __init__(self, spec: NextTokenSpec) -> None:
        self._bytes = ByteCounts(spec)
        self._sums = torch.zeros(4, dtype=torch.float64)

    def update(self, prediction: Prediction) -> None:
        """outputs (B, T) log probabilities, targets (B, T) tokens, -1 for none."""
        self._sums += torch.stack(window_sums(prediction, self._bytes)).sum(1)

    def merge(self, other: Self) -> None:
        """Add another state's sums."""
        self._sums += other._sums

    def compute(self) -> dict[str, float]:
        """The metrics of all tokens. Raises ValueError where none counts."""
        surprise, tokens, num_bytes, hits = self._sums.tolist()
        if not tokens:
            raise ValueError("no token was evaluated")
        loss = surprise / tokens
        return {
            "loss": loss,
            "bits_per_token": loss / log(2),
            "bits_per_byte": surprise / log(2) / num_bytes if num_bytes else float("nan"),
            "perplexity": exp(min(loss, _LARGEST)),
            "accuracy": hits / tokens,
        }


class TokenSampleState(MetricState):
    """The sums of every window, the loss at each position, and the tokens of those that surprise most.

    It keeps 40 bytes a window.
    """

    def __init__(self, spec: NextTokenSpec) -> None:
        self._bytes = ByteCounts(spec)
        self._rows, self._indices = RowStore[Any](), RowStore[np.int64]()
        self._by_position = torch.zeros(2, spec.max_length, dtype=torch.float64)
        self._shown: list[tuple[float, int, list[int], list[float]]] = []

    def update(self, prediction: Prediction) -> None:
        """As `TokenLossState`."""
        sums = torch.stack(window_sums(prediction, self._bytes), dim=1)
        self._rows.append(sums.numpy())
        self._indices.append(prediction.indices.cpu().numpy())
        tokens, surprise = prediction.known_targets.cpu(), -prediction.outputs.cpu().double()
        counts = tokens >= 0
        width = tokens.shape[1]
        self._by_position[0, :width] += (surprise * counts).sum(0)
        self._by_position[1, :width] += counts.sum(0)
        means = sums[:, 0] / sums[:, 1].clamp(min=1)
        for place in means.argsort(descending=True)[:_SHOWN].tolist():
            kept = counts[place]
            one = tokens[place][kept].tolist(), surprise[place][kept].tolist()
            self._show((float(means[place]), int(prediction.indices[place]), *one))

    def merge(self, other: Self) -> None:
        """Add the windows of another state, after those of this one."""
        self._rows.extend(other._rows)
        self._indices.extend(other._indices)
        self._by_position += other._by_position
        for one in other._shown:
            self._show(one)

    def compute(self) -> dict[str, float]:
        """Nothing: the metrics are those of `TokenLossState`."""
        return {}

    def samples(self) -> WindowSums:
        """The sums of every window. Raises ValueError without any."""
        if not len(self._rows):
            raise ValueError("no window was evaluated")
        return WindowSums(*self._rows.joined().T)

    def indices(self) -> NDArray[np.int64]:
        """(N,) the number of each window in its source."""
        return self._indices.joined()

    def loss_by_position(self) -> tuple[Floats, Floats]:
        """(positions from 1, mean surprise there in nats), for positions at which not too few tokens count."""
        surprise, tokens = self._by_position.numpy()
        places = np.flatnonzero(tokens >= max(1, _FEW * tokens.max()))
        return (places + 1).astype(np.float64), surprise[places] / tokens[places]

    def surprising(self) -> list[tuple[int, list[int], list[float]]]:
        """(number, tokens, surprise of each in nats) of the windows of the greatest mean surprise, greatest first."""
        return [(number, tokens, surprise) for _, number, tokens, surprise in self._shown]

    def _show(self, one: tuple[float, int, list[int], list[float]]) -> None:
        self._shown = sorted([*self._shown, one], key=lambda item: (-item[0], item[1]))[:_SHOWN]


def window_sums(prediction: Prediction, byte_counts: ByteCounts) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(surprise in nats, tokens, bytes, hits) of each window, (B,) float64 each, on the CPU."""
    tokens = prediction.known_targets.cpu()
    counts = tokens >= 0
    surprise = (-prediction.outputs.cpu().double() * counts).sum(1)
    hits = prediction.extra["is_first"].cpu().sum(1).double()
    return surprise, counts.sum(1).double(), byte_counts.of(tokens), hits
