"""Prediction inputs from series of .ts files, whose labels are not read.

Symbols: N series, T steps of the longest, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dlexp.data.columns import read_all
from dlexp.data.inference.items import InputItems
from dlexp.data.inference.standard_input import standard_input
from dlexp.data.series.bundling import Scale
from dlexp.data.series.labeled import complete, scaled
from dlexp.data.series.series_set import REFUSE, SKIP, Floats
from dlexp.data.series.ts_file import LabeledSeries, is_ts, read_ts
from dlexp.data.tables.files.opening import STDIN
from dlexp.errors import DataError
from dlexp.types import Sequences


@dataclass(frozen=True)
class LabeledInput:
    """How a run reads labeled series; see `labeled_bundle`, which records it.

    scale       of each channel
    gaps        what becomes of missing values
    max_length  steps of the longest series of training
    """

    scale: Scale
    gaps: str
    max_length: int
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, plain: Mapping[str, Any], max_length: int) -> LabeledInput:
        """The reading that a run records."""
        return cls(Scale(np.array(plain["mean"]), np.array(plain["std"])), str(plain["gaps"]), max_length)

    def check(self, path: str) -> None:
        """Raise DataError for a file that is not read as the training data were."""
        self._read(path)

    def read(self, path: str) -> InputItems:
        """Each series of a file; one that is too long, or has missing values, is an item with a problem."""
        if path == STDIN:
            with standard_input(lambda head: ".ts") as file:
                found = self._read(str(file))
        else:
            found = self._read(path)
        problems: list[str] = []
        series: list[Floats] = []
        for place, values in enumerate(found.values):
            try:
                one, _ = complete(_only(found, place), REFUSE if self.gaps == SKIP else self.gaps)
            except DataError:
                problems.append("the series has missing values")
                continue
            if len(values) > self.max_length:
                problems.append(f"the series has {len(values):,} steps, and training at most {self.max_length:,}")
                continue
            problems.append("")
            series += one.values
        count = len(self.scale.mean)
        inputs = Sequences(torch.zeros(0, 1, count), torch.zeros(0, dtype=torch.int64))
        if series:
            read = read_all(scaled(series, self.scale))
            assert isinstance(read, Sequences)
            inputs = read
        columns: dict[str, list[Any]] = {"input": [path] * len(problems), "line": list(found.lines)}
        return InputItems(columns, problems, inputs)

    def _read(self, path: str) -> LabeledSeries:
        if not is_ts(Path(path)):
            raise DataError("must be a .ts file, as in training", file=path, code="incompatible-data")
        found = read_ts(Path(path), needs_labels=False)
        channels = found.values[0].shape[1]
        if channels != len(self.scale.mean):
            rule = f"has {channels:,} channels, and the run was trained with {len(self.scale.mean):,}"
            raise DataError(rule, file=path, code="incompatible-data")
        return found


def _only(found: LabeledSeries, place: int) -> LabeledSeries:
    part = slice(place, place + 1)
    return LabeledSeries(
        found.file, found.kind, found.classes, found.values[part], found.labels[part], found.lines[part]
    )
