"""Training and validation samples told from each other.

At most 1,500 training and 1,500 validation samples are looked at, drawn at random as a function of the seed.
"""

from __future__ import annotations

import numpy as np

from dlexp.data.bundle import DataBundle
from dlexp.diagnosis.data.features import Featurizer
from dlexp.diagnosis.data.label_measures import model_features
from dlexp.diagnosis.data.split_distance import SplitDistance, split_distance
from dlexp.specs import ClassSpec, ImageSpec

_MOST = 1500
_FEWEST = 20  # samples of a split


def validation_distance(bundle: DataBundle, seed: int) -> SplitDistance | None:
    """How far validation samples are from training samples; None for inputs of unknown kinds, and for few samples.

    Test samples are not read while a run is made better.
    """
    featurizer = Featurizer(bundle, seed)
    if not featurizer.is_known or min(len(bundle.splits[name]) for name in ("train", "val")) < _FEWEST:
        return None
    train, val = featurizer.read("train", _MOST), featurizer.read("val", _MOST)
    both = model_features(np.concatenate([train.values, val.values]), isinstance(bundle.spec.inputs, ImageSpec))
    labels = None
    if isinstance(bundle.spec.targets, ClassSpec):
        assert train.targets is not None and val.targets is not None
        labels = train.targets, val.targets
    ready = both[: len(train)], both[len(train) :]
    return split_distance("val", ready, (train.values, val.values, train.names), labels, seed)
