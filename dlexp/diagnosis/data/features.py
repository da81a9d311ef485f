"""Samples of any kind as rows of numbers, for models that need seconds.

Images become pixels of at most 16 x 16 and directions of edges, tables their features, texts and other sequences of
tokens a bag of tokens, series a curve of 32 points and its statistics.

Symbols: N samples, F features, B samples of a piece, T positions, C channels, V tokens that are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.bundle import DataBundle, Split
from dlexp.data.tables.features.encodings import encoded_columns, first_features
from dlexp.runtime.seed import numbers
from dlexp.sequence_specs import SeriesSpec, TokenSpec
from dlexp.specs import ClassSpec, ImageSpec, TableSpec, ValueSpec
from dlexp.types import Field, Sequences, as_tensor

_SIDE, _CELLS, _DIRECTIONS = 16, 4, 8  # pixels of a side; cells of edges a side; directions of each cell
_EDGES_FROM = 16  # pixels of a side from which directions of edges are features too
_TOKENS = 400  # most frequent tokens that are counted
_POINTS = 32  # of the curve of a series
_PIECE = 1024


@dataclass(frozen=True)
class FeatureMatrix:
    """Samples as rows of numbers.

    values     (N, F) float32, finite
    names      F names; of a table the column that a feature belongs to
    positions  (N,) int64 positions in their split
    indices    (N,) int64 sample numbers in the source
    targets    (N,) int64 class numbers, or (N, O) float64 values; None for targets of other kinds
    """

    values: NDArray[np.float32]
    names: tuple[str, ...]
    positions: NDArray[np.int64]
    indices: NDArray[np.int64]
    targets: NDArray[Any] | None

    def __len__(self) -> int:
        return len(self.values)


class Featurizer:
    """Turns samples of a bundle into rows of numbers; the same columns for each split.

    Args:
        bundle: The data. Which tokens are counted is decided by its training split.
        seed: Seed of the choice of samples where a split has more than are asked for.
    """

    def __init__(self, bundle: DataBundle, seed: int) -> None:
        self._bundle, self._seed = bundle, seed
        self._tokens = np.empty(0, dtype=np.int64)
        if isinstance(bundle.spec.inputs, TokenSpec):
            self._tokens = _frequent(bundle.splits["train"], bundle.spec.inputs.vocabulary_size, self._chosen)

    @property
    def is_known(self) -> bool:
        """Whether inputs of this kind can be turned into numbers."""
        return isinstance(self._bundle.spec.inputs, ImageSpec | TableSpec | TokenSpec | SeriesSpec)

    def read(self, split: str, most: int) -> FeatureMatrix:
        """Samples of a split, at most `most` of them, drawn at random and in their order.

        Raises TypeError for inputs of a kind that is not known.
        """
        samples = self._bundle.splits[split]
        positions = self._chosen(samples, most)
        pieces = [torch.from_numpy(part) for part in np.array_split(positions, max(1, -(-len(positions) // _PIECE)))]
        inputs, targets = [], []
        is_learned = isinstance(self._bundle.spec.targets, ClassSpec | ValueSpec)
        for given, learned in samples.read(pieces, self._bundle.recipe.unchanged):
            inputs.append(self._rows(given))
            if is_learned:
                targets.append(as_tensor(learned).cpu().numpy())
        values = np.nan_to_num(np.concatenate(inputs), nan=0.0, posinf=3e4, neginf=-3e4).astype(np.float32)
        learned_all = np.concatenate(targets) if targets else None
        return FeatureMatrix(
            values, self._names(values.shape[1]), positions, samples.indices.numpy()[positions], learned_all
        )

    def _chosen(self, samples: Split, most: int) -> NDArray[np.int64]:
        if len(samples) <= most:
            return np.arange(len(samples), dtype=np.int64)
        drawn = numbers(self._seed, "diagnosis", "samples", len(samples)).permutation(len(samples))[:most]
        return np.sort(drawn).astype(np.int64)

    def _rows(self, given: Field) -> NDArray[np.float32]:
        """(B, F) float32."""
        if isinstance(given, Tensor):
            flat = _of_images(given.cpu()) if given.dim() == 4 else given.cpu().flatten(1).float()
            return flat.numpy()
        if isinstance(given, Sequences) and len(self._tokens):
            return _bag(given, self._tokens)
        if isinstance(given, Sequences):
            return _of_series(given).numpy()
        raise TypeError(f"must be a tensor or sequences, got {type(given).__name__}")

    def _names(self, count: int) -> tuple[str, ...]:
        spec = self._bundle.spec.inputs
        if isinstance(spec, TableSpec):
            return feature_columns(self._bundle, count)
        if isinstance(spec, TokenSpec):
            known = None if spec.vocabulary is None else spec.vocabulary.tokens
            return ("length", *(f"token {known[n]!r}" if known else f"token {n}" for n in self._tokens.tolist()))
        return tuple(f"feature {number}" for number in range(count))


def feature_columns(bundle: DataBundle, count: int) -> tuple[str, ...]:
    """The column that each of `count` features of a table belongs to."""
    fitted = encoded_columns(bundle.preprocessing)
    places = first_features(fitted)
    if places[-1] != count:
        return tuple(f"feature {number}" for number in range(count))
    return tuple(fit.name for fit in fitted for _ in range(fit.width))


def standardized(values: NDArray[np.float32], blocks: bool = False) -> NDArray[np.float64]:
    """Features (N, F) of mean 0 and deviation 1, within 5; those that are constant become 0.

    blocks  one deviation for all features, as for pixels, whose own deviations say how much each tells
    """
    wide = values.astype(np.float64)
    spread = wide.std(axis=0)
    scale = np.full_like(spread, np.sqrt((spread**2).mean())) if blocks else spread
    ready: NDArray[np.float64] = (wide - wide.mean(axis=0)) / np.where(
        scale > 1e-12 * (1 + np.abs(wide).max()), scale, np.inf
    )
    return ready if blocks else ready.clip(-5, 5)


def reduced(values: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """The first principal components of features (N, F), `most` of them; distances are nearly kept."""
    if values.shape[1] <= most:
        return values
    _, vectors = np.linalg.eigh(np.cov(values, rowvar=False))
    found: NDArray[np.float64] = values @ vectors[:, ::-1][:, :most]
    return found


def _of_images(images: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, F) pixels of at most 16 x 16, each channel, and directions of edges of larger images."""
    pixels = images.float()
    height, width = pixels.shape[-2:]
    small = F.adaptive_avg_pool2d(pixels, (min(height, _SIDE), min(width, _SIDE))).flatten(1)
    small = small / small.std().clamp(min=1e-6)
    if min(height, width) < _EDGES_FROM:
        return small
    return torch.cat([small, _edges(pixels)], dim=1)


def _edges(pixels: Tensor) -> Tensor:
    """(B, C, H, W) -> strength of edges by direction in cells, each image of length 1."""
    gray = F.avg_pool2d(pixels.mean(dim=1, keepdim=True), 2) if min(pixels.shape[-2:]) >= 2 * _EDGES_FROM else pixels
    gray = gray.mean(dim=1)
    down, right = gray[:, 2:, 1:-1] - gray[:, :-2, 1:-1], gray[:, 1:-1, 2:] - gray[:, 1:-1, :-2]
    strength = torch.hypot(down, right)
    direction = (torch.atan2(down, right) / (2 * torch.pi) * _DIRECTIONS).round().long() % _DIRECTIONS
    apart = F.one_hot(direction, _DIRECTIONS).permute(0, 3, 1, 2) * strength[:, None]
    cells = F.adaptive_avg_pool2d(apart, (_CELLS, _CELLS)).flatten(1)
    whole = apart.mean(dim=(2, 3))
    found = torch.cat([cells, whole], dim=1)
    edges: Tensor = 16 * found / found.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return edges


def _of_series(given: Sequences) -> Tensor:
    """(B, T, C) -> (B, F): each channel as a curve of 32 points; mean, deviation, least, greatest, last value."""
    found = []
    for row, length in zip(given.values.cpu().float(), given.lengths.tolist(), strict=True):
        own = (row[:length] if length else row[:1]).reshape(max(length, 1), -1).T  # (C, T)
        curve = F.interpolate(own[None], size=_POINTS, mode="linear", align_corners=True)[0]
        facts = (own.mean(1), own.std(1, correction=0), own.amin(1), own.amax(1), own[:, -1])
        found.append(torch.cat([curve.flatten(), *facts]))
    return torch.stack(found)


def _frequent(split: Split, size: int, chosen: Any) -> NDArray[np.int64]:
    """The tokens that occur in most training samples, the most frequent first."""
    counts = np.zeros(size, dtype=np.int64)
    for given in _sequences(split, chosen(split, 4 * _PIECE)):
        for row, length in zip(given.values.cpu().numpy(), given.lengths.tolist(), strict=True):
            counts[np.unique(row[:length])] += 1
    found = (-counts).argsort(kind="stable")[:_TOKENS]
    return found[counts[found] > 0].astype(np.int64)


def _sequences(split: Split, positions: NDArray[np.int64]) -> Iterator[Sequences]:
    pieces = [torch.from_numpy(part) for part in np.array_split(positions, max(1, -(-len(positions) // _PIECE)))]
    for given, _ in split.read(pieces):
        if isinstance(given, Sequences):
            yield given


def _bag(given: Sequences, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
    """(B, 1 + V): log length, and log counts of tokens, of length 4."""
    place = np.full(max(int(tokens.max()), int(given.values.max()) if given.values.numel() else 0) + 1, -1)
    place[tokens] = np.arange(len(tokens))
    rows = np.zeros((len(given), len(tokens)), dtype=np.float32)
    ids = place[given.values.cpu().numpy()]
    ids[~given.mask.cpu().numpy()] = -1
    sample, _ = np.nonzero(ids >= 0)
    np.add.at(rows, (sample, ids[ids >= 0]), 1.0)
    rows = np.log1p(rows)
    rows *= 4 / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return np.concatenate([np.log1p(given.lengths.cpu().numpy()[:, None].astype(np.float32)), rows], axis=1)
