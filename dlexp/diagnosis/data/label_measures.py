"""Labels of training and validation samples, looked at together.

At most 4,000 training and 1,500 validation samples are looked at, drawn at random as a function of the seed.

Symbols: N samples, F features, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.diagnosis.data.agreement import NeighborAgreement, agreement_of_labels, shifted_labels
from dlexp.diagnosis.data.features import FeatureMatrix, Featurizer, reduced, standardized
from dlexp.diagnosis.data.held_out import folds, held_out_probabilities, predicted_values
from dlexp.diagnosis.data.labels import Contradictions, contradictions, nearest
from dlexp.specs import ClassSpec, ImageSpec, ValueSpec

_SPLITS = ("train", "val")  # labels of the test split are not read while a run is made better
_MOST = {"train": 4000, "val": 1500}
_FOLDS = 5
_COMPONENTS = 64  # of all features: of more the distances are nearly the same
_FEWEST = 30  # samples


@dataclass(frozen=True)
class LabelMeasures:
    """What labels say about themselves.

    Attributes:
        samples: N.
        classes: C, 0 for values.
        contradictions: Labels against a model of the other samples; None for values.
        agreement: Labels of near samples.
        skill: Share of the variance of targets that a model explains in samples that it has not seen; 0 and less is
            chance.
    """

    samples: int
    classes: int
    contradictions: Contradictions | None
    agreement: NeighborAgreement
    skill: float


def label_measures(bundle: DataBundle, seed: int, most: Mapping[str, int] = _MOST) -> LabelMeasures | None:
    """Measure the labels; None for inputs or targets of kinds that it cannot be done for, and for few samples.

    Args:
        bundle: The data.
        seed: Seed of folds, of the choice of samples and of random orders.
        most: Name of a split -> largest number of its samples that are looked at.
    """
    spec, featurizer = bundle.spec, Featurizer(bundle, seed)
    if not featurizer.is_known or not isinstance(spec.targets, ClassSpec | ValueSpec):
        return None
    parts = [featurizer.read(name, most[name]) for name in _SPLITS]
    labels = np.concatenate([_targets(part) for part in parts])
    if len(labels) < _FEWEST or not np.isfinite(labels).all():
        return None
    features = model_features(np.concatenate([part.values for part in parts]), isinstance(spec.inputs, ImageSpec))
    indices = np.concatenate([part.indices for part in parts])
    is_class = isinstance(spec.targets, ClassSpec)
    own = None if bundle.groups is None else bundle.groups[indices]  # a group is predicted without its own samples
    fold = folds(labels if is_class else None, len(labels), _FOLDS, seed, own)
    near = nearest(features)
    agreement = agreement_of_labels(near, labels, _moved(bundle, indices), seed)
    if not is_class:
        spread = max(float(labels.std()), 1e-30)
        scaled = (labels - labels.mean())[:, None] / spread
        return LabelMeasures(len(labels), 0, None, agreement, 1 - predicted_values(features, scaled, fold, seed).error)
    count = spec.num_outputs
    found = held_out_probabilities(features, labels, count, fold, seed)
    hits, chance = np.eye(count)[labels], np.bincount(labels, minlength=count) / len(labels)
    skill = 1 - float(((found - hits) ** 2).sum() / max(((chance - hits) ** 2).sum(), 1e-30))
    splits = np.repeat(_SPLITS, [len(part) for part in parts])
    return LabelMeasures(len(labels), count, contradictions(found, labels, near, indices, splits), agreement, skill)


def model_features(values: NDArray[np.float32], is_image: bool) -> NDArray[np.float64]:
    """Features (N, F) of deviation 1, of which there are 64 at most."""
    return reduced(standardized(values, is_image), _COMPONENTS)


def _targets(part: FeatureMatrix) -> NDArray[Any]:
    """(N,) class numbers, or the first value of each sample."""
    assert part.targets is not None
    return part.targets if part.targets.ndim == 1 else part.targets.reshape(len(part), -1)[:, 0]


def _moved(bundle: DataBundle, indices: NDArray[np.int64]) -> dict[int, NDArray[Any]]:
    """Shift -> the labels of the samples that many places later in the source."""
    rows = np.concatenate([bundle.splits[name].indices.numpy() for name in _SPLITS])
    targets = np.concatenate([tensor_of(bundle.splits[name].targets).cpu().numpy() for name in _SPLITS])
    targets = targets if targets.ndim == 1 else targets.reshape(len(targets), -1)[:, 0]
    order = rows.argsort(kind="stable")
    return {by: shifted_labels(indices, rows[order], targets[order], by) for by in (-1, 1)}
