"""Cases of the doctor that are made of data alone: no network, no history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.assemble.experiment import build_data
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.tree import leaves
from dlexp.data.bundle import SPLITS, DataBundle, Split
from dlexp.data.columns import Dense, tensor_of
from dlexp.diagnosis.case import Case, NetworkChange, RunSettings, Start, Twin

CATALOG = Catalog()


def no_twin(
    *words: str, start: Start = "initial", updates: int | None = None, change: NetworkChange | None = None
) -> Twin:
    """Nothing is trained."""
    return Twin(words, problem="no training here")


def case_of_data(*words: str, bundle: DataBundle | None = None, **settings: Any) -> Case:
    """The case of a configuration before training, without its network; `settings` with __ for the dots of keys."""
    config = load(list(words), CATALOG)
    given = build_data(config) if bundle is None else bundle
    own = {**dict(leaves(config.tree)), **{key.replace("__", "."): value for key, value in settings.items()}}
    options = dict(config.choices)
    facts = RunSettings(options, own, config.monitor, config.maximize, config.seed, config.batch_size, 1, 1, 1, "")
    return Case(facts, given, no_twin)


def data_of(*words: str) -> DataBundle:
    """The data of a configuration."""
    return build_data(load(list(words), CATALOG))


def with_labels(bundle: DataBundle, change: Callable[[NDArray[Any]], NDArray[Any]]) -> DataBundle:
    """The same data with targets of all splits, in the order of the source, changed."""
    rows = np.concatenate([bundle.splits[name].indices.numpy() for name in SPLITS])
    targets = np.concatenate([tensor_of(bundle.splits[name].targets).numpy() for name in SPLITS])
    place = rows.argsort()
    changed = targets.copy()
    changed[place] = change(targets[place])
    ends = np.cumsum([len(bundle.splits[name]) for name in SPLITS])[:-1]
    parts = dict(zip(SPLITS, np.split(changed, ends), strict=True))
    return replace(
        bundle,
        splits={
            name: replace(bundle.splits[name], targets=Dense(torch.from_numpy(part.copy())))
            for name, part in parts.items()
        },
    )


def with_wrong_labels(bundle: DataBundle, share: float, seed: int) -> tuple[DataBundle, set[int]]:
    """The same data with a share of wrong labels, and the numbers of those in the training and validation split."""
    rng = np.random.default_rng(seed)
    count = bundle.spec.num_outputs
    total = sum(bundle.sizes().values())
    rows = np.sort(np.concatenate([bundle.splits[name].indices.numpy() for name in SPLITS]))
    wrong = rng.permutation(total)[: round(share * total)]

    def change(labels: NDArray[Any]) -> NDArray[Any]:
        found = labels.copy()
        found[wrong] = (found[wrong] + rng.integers(1, count, len(wrong))) % count
        return found

    seen = set(np.concatenate([bundle.splits[name].indices.numpy() for name in ("train", "val")]).tolist())
    return with_labels(bundle, change), seen & set(rows[wrong].tolist())


def with_inputs(bundle: DataBundle, split: str, change: Callable[[torch.Tensor], torch.Tensor]) -> DataBundle:
    """The same data with the inputs of a split changed."""
    own = bundle.splits[split]
    changed = Split(Dense(change(tensor_of(own.inputs))), own.targets, own.indices)
    return replace(bundle, splits={**bundle.splits, split: changed})
