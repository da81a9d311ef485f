"""The scale of inputs as the network gets them, and of targets as the loss gets them.

At most 4,000 training samples are looked at.

Symbols: N samples, F features (channels of images and series), O target values, B samples of a piece.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.diagnosis.data.features import feature_columns
from dlexp.runtime.seed import numbers
from dlexp.sequence_specs import SeriesSpec
from dlexp.specs import ImageSpec, TableSpec, ValueSpec
from dlexp.types import Field, Sequences

_MOST = 4000
_PIECE = 512
_RARE, _MANY = 0.1, 10  # largest share of an extreme value that stands alone; different values that there are beside it


@dataclass(frozen=True)
class FeatureScale:
    """A feature.

    Attributes:
        name: Of the column or channel.
        mean: Of its values.
        std: Their standard deviation.
        largest: Largest distance of a value from the mean, in standard deviations.
        gap: Distance of the farthest value from the next one, by the range of all others; 0 where that value is a
            frequent one, or there are few others.
        repeats: How often the farthest value occurs.
        core: Standard deviation of all other values, by `std`; small if the farthest value makes up the spread.
    """

    name: str
    mean: float
    std: float
    largest: float
    gap: float = 0.0
    repeats: int = 1
    core: float = 1.0


@dataclass(frozen=True)
class InputScale:
    """Features as the network gets them.

    Attributes:
        samples: N.
        features: Without constant ones and those that are 0 or 1.
        size: Root mean square of all values of these features.
        condition: Largest by smallest eigenvalue of the matrix of second moments of the features and a constant 1, by
            that of the standardized features: how many times longer gradient descent takes.
        not_finite: Values that are NaN or infinite.
    """

    samples: int
    features: tuple[FeatureScale, ...]
    size: float
    condition: float
    not_finite: int

    @property
    def largest_mean(self) -> float:
        """Of the absolute means."""
        return max((abs(one.mean) for one in self.features), default=0.0)

    @property
    def ratio(self) -> float:
        """Largest by smallest standard deviation."""
        spreads = [one.std for one in self.features] or [1.0]
        return max(spreads) / min(spreads)


def input_scale(bundle: DataBundle, seed: int) -> InputScale | None:
    """Measure the inputs; None for kinds without numbers, such as tokens."""
    spec = bundle.spec.inputs
    if not isinstance(spec, ImageSpec | TableSpec | SeriesSpec):
        return None
    split = bundle.splits["train"]
    drawn = np.sort(numbers(seed, "diagnosis", "scale").permutation(len(split))[:_MOST])
    pieces = list(torch.from_numpy(drawn).split(_PIECE))
    read = split.read(pieces, bundle.recipe.unchanged)
    rows = np.concatenate([_rows(bundle.preprocess(given)) for given, _ in read]).astype(np.float64)
    names: tuple[str, ...] = tuple(f"channel {number}" for number in range(rows.shape[1]))
    chosen = np.arange(rows.shape[1])
    if isinstance(spec, TableSpec):
        names = feature_columns(bundle, rows.shape[1])
        flags = {first + number for first, count in spec.categorical for number in range(count)}
        chosen = np.array([number for number in chosen if number not in flags], dtype=np.int64)
    return measured_scale(rows[:, chosen], [names[number] for number in chosen.tolist()], len(drawn))


def measured_scale(rows: NDArray[np.float64], names: list[str], samples: int) -> InputScale:
    """The scale of features.

    Args:
        rows: (M, F), of images and series a row for each position.
        names: F names.
        samples: N.
    """
    is_finite = np.isfinite(rows)
    rows = rows[is_finite.all(axis=1)]
    if not len(rows):
        return InputScale(samples, (), 0.0, 1.0, int((~is_finite).sum()))
    mean, std = rows.mean(axis=0), rows.std(axis=0)
    is_flag = ((rows == 0) | (rows == 1)).all(axis=0)
    used = np.flatnonzero((std > 1e-9 * (1 + np.abs(mean))) & ~is_flag)
    features = tuple(_feature(names[n], rows[:, n], float(mean[n]), float(std[n])) for n in used.tolist())
    given, ready = rows[:, used], (rows[:, used] - mean[used]) / std[used]
    size = float(np.sqrt((given**2).mean())) if len(used) else 0.0
    condition = _condition(given) / _condition(ready) if len(used) else 1.0
    return InputScale(samples, features, size, condition, int((~is_finite).sum()))


def target_scale(bundle: DataBundle) -> list[FeatureScale]:
    """Targets as a loss gets them that standardizes by what the data says of them; [] for other targets than values."""
    spec = bundle.spec.targets
    if not isinstance(spec, ValueSpec):
        return []
    values = tensor_of(bundle.splits["train"].targets).double().cpu().numpy().reshape(-1, len(spec.names))
    scaled = (values - np.array(spec.mean)) / np.array(spec.std)
    return [
        _feature(name, column, float(column.mean()), float(column.std()))
        for name, column in zip(spec.names, scaled.T, strict=True)
    ]


def _feature(name: str, values: NDArray[np.float64], mean: float, std: float) -> FeatureScale:
    if not std > 0:
        return FeatureScale(name, mean, std, 0.0)
    ordered, counts = np.unique(values, return_counts=True)
    largest = float(max(ordered[-1] - mean, mean - ordered[0]) / std)
    at = len(ordered) - 1 if np.median(values) - ordered[0] < ordered[-1] - np.median(values) else 0
    others = np.delete(ordered, at)
    if len(others) < _MANY or counts[at] > _RARE * len(values):
        return FeatureScale(name, mean, std, largest, repeats=int(counts[at]))
    gap = float(np.abs(others - ordered[at]).min() / (others[-1] - others[0]))
    core = float(values[values != ordered[at]].std() / std)
    return FeatureScale(name, mean, std, largest, gap, int(counts[at]), core)


def _rows(given: Field) -> NDArray[np.float32]:
    """(B, F) of a table, (positions, F) of images and series."""
    if isinstance(given, Sequences):
        values = given.values[given.mask]
        return values.reshape(len(values), -1).cpu().float().numpy()
    if isinstance(given, Tensor) and given.dim() == 4:
        flat = given.cpu().float().permute(0, 2, 3, 1).flatten(0, 2)
        return flat[:: max(1, len(flat) // 50_000)].numpy()
    if isinstance(given, Tensor):
        return given.cpu().float().flatten(1).numpy()
    raise TypeError(f"must be a tensor or sequences, got {type(given).__name__}")


def _condition(rows: NDArray[np.float64]) -> float:
    wide = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    values = np.linalg.eigvalsh(wide.T @ wide / len(wide))
    return float(values[-1] / max(values[0], 1e-6 * values[-1], 1e-300))
