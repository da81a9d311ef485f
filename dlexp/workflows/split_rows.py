"""Samples of a split by their numbers in the source, as a network gets them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dlexp.assemble.experiment import Experiment
from dlexp.data.loaders import EvalBatches
from dlexp.errors import ConfigError
from dlexp.types import Batch


def samples_at(experiment: Experiment, split: str, positions: Sequence[int]) -> Batch:
    """The samples at some positions of a split, as the network gets them."""
    few = experiment.bundle.with_split_subset(split, torch.tensor(list(positions), dtype=torch.int64))
    return next(iter(EvalBatches(few, split, len(positions), experiment.device)))


def positions_of(experiment: Experiment, split: str, rows: Sequence[int]) -> list[int]:
    """Where samples with these numbers are in a split. Raises ConfigError for all that are not there."""
    places = {name: part.indices.tolist() for name, part in experiment.bundle.splits.items()}
    known = {number: position for position, number in enumerate(places[split])}
    lacking = [row for row in rows if row not in known]
    if lacking:
        elsewhere = [name for name, numbers in places.items() if set(lacking) <= set(numbers)]
        some = f"such as {', '.join(str(number) for number in places[split][:3])}"
        remedy = f"Add --split {elsewhere[0]}" if elsewhere else f"Use a number of the split, {some}."
        shown = ", ".join(str(row) for row in lacking)
        raise ConfigError.one("ROW", shown, f"is no sample of the {split} split", remedy, code="not-found")
    return [known[row] for row in rows]
