"""Labeled series as a data bundle: each is one sample with a class or a value.

Symbols: N series, T steps of one of them, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.data.bundle import SPLITS, DataBundle, Split, fingerprint_of
from dlexp.data.columns import Dense, Ragged
from dlexp.data.preprocess import Identity
from dlexp.data.series.bundling import Scale
from dlexp.data.series.series_set import FORWARD, INTERPOLATE, REFUSE, SKIP, Floats
from dlexp.data.series.ts_file import LabeledSeries
from dlexp.data.splits.anomalies import anomaly_numbers, normal_rows
from dlexp.data.splitting import Shares, rows_of_parts
from dlexp.data.targets import target_unit
from dlexp.errors import DataError
from dlexp.findings import counted
from dlexp.sequence_specs import SeriesSpec
from dlexp.specs import ClassSpec, DataSpec, ValueSpec

KIND = "labeled_series"  # in the preprocessing of a run
TARGET = "label"
_NAMED = 5
_NO_LABEL = ("", "?")


@dataclass(frozen=True)
class _Labels:
    """(N,) class numbers with their names, or (N, 1) values."""

    values: NDArray[Any]
    classes: tuple[str, ...] = ()


def labeled_bundle(
    files: Sequence[LabeledSeries | None],
    shares: Shares,
    gaps: str,
    standardize: bool,
    anomalies: Sequence[str] = (),
) -> DataBundle:
    """The series of up to three files, of train, val and test; one file is divided at random.

    Args:
        files: Those of `SPLITS`, None for a part that is drawn from train.
        shares: Share of validation and test, and the seed of the draw.
        gaps: What becomes of missing values: refuse, skip (the series is left out), forward or interpolate.
        standardize: Whether each channel is scaled to mean 0 and deviation 1 over the training series.
        anomalies: Classes that no training or validation series has.

    Raises:
        DataError: Files that do not fit together, missing values, or labels that are none, with file and line.
    """
    given = [found for found in files if found is not None]
    _refuse_others(given)
    kept = [complete(found, gaps) for found in given]
    left = [f"{file.file} line {line}" for file, (_, lines) in zip(given, kept, strict=True) for line in lines]
    given = [found for found, _ in kept]
    labels = _labels_of(given)
    parts = [part for part, found in zip(SPLITS, files, strict=True) if found is not None]
    counts = [len(found.values) for found in given]
    sizes = dict(zip(parts, counts, strict=True)) if len(parts) > 1 else {"": sum(counts)}
    exempt = anomaly_numbers(anomalies, labels.classes) if labels.classes else ()
    rows = rows_of_parts(sizes, shares, labels.values if labels.classes else None, labels.classes, exempt)
    rows = normal_rows(rows, labels.values, labels.classes, anomalies)
    series = list(chain.from_iterable(found.values for found in given))
    scale = Scale.of([series[row] for row in rows[0].tolist()])
    if not standardize:
        scale = Scale(np.zeros_like(scale.mean), np.ones_like(scale.std))
    lengths = np.array([len(one) for one in series])
    targets: ClassSpec | ValueSpec = ClassSpec(labels.classes)
    if not labels.classes:
        targets = ValueSpec((TARGET,), *target_unit(labels.values, rows[0], (TARGET,)))
    shown = f": {', '.join(left[:_NAMED])}" + (f", and {len(left) - _NAMED:,} more" if len(left) > _NAMED else "")
    notes = [f"{counted(len(left), 'series with missing values', 'series with missing values')} left out{shown}"]
    if lengths.min() < lengths.max():
        notes.append(f"the series have {lengths.min():,} to {lengths.max():,} steps")
    channels = series[0].shape[1]
    plain = {"kind": KIND, "channels": channels, "gaps": gaps}
    return DataBundle(
        spec=DataSpec(SeriesSpec(channels, int(lengths.max())), targets),
        splits={
            name: Split(scaled([series[row] for row in part.tolist()], scale), _column(labels, part), _numbers(part))
            for name, part in zip(SPLITS, rows, strict=True)
        },
        preprocess=Identity(),
        fingerprint=fingerprint_of(np.concatenate(series), lengths, labels.values, np.array(labels.classes or [""])),
        preprocessing={**plain, "mean": scale.mean.tolist(), "std": scale.std.tolist()},
        notes=tuple(notes if left else notes[1:]),
        left_out=tuple(left),
        target=TARGET,
        named=partial(_named, [(found.file.name, line) for found in given for line in found.lines]),
    )


def with_labels(found: LabeledSeries, left: list[str]) -> LabeledSeries:
    """The series that have a label; the places of the others are added to `left`. Raises DataError without any."""
    kept = [place for place, label in enumerate(found.labels) if label not in _NO_LABEL]
    left += [
        f"{found.file.name} line {line}"
        for line, label in zip(found.lines, found.labels, strict=True)
        if label in _NO_LABEL
    ]
    if not kept:
        raise DataError("no series has a label", file=found.file, code="too-few-samples")
    return _some(found, kept)


def _some(found: LabeledSeries, places: Sequence[int]) -> LabeledSeries:
    values = tuple(found.values[place] for place in places)
    labels = tuple(found.labels[place] for place in places)
    lines = tuple(found.lines[place] for place in places)
    return LabeledSeries(found.file, found.kind, found.classes, values, labels, lines)


def scaled(series: Sequence[Floats], scale: Scale) -> Ragged:
    """Series (T, C) as inputs of a network."""
    offsets = torch.tensor([0, *np.cumsum([len(one) for one in series]).tolist()])
    values = np.concatenate([(one - scale.mean) / scale.std for one in series]).astype(np.float32)
    return Ragged(torch.from_numpy(values), offsets)


def complete(found: LabeledSeries, gaps: str) -> tuple[LabeledSeries, list[int]]:
    """(series without missing values, the lines of those that are left out). Raises DataError for gaps=refuse."""
    wrong = {line for one, line in zip(found.values, found.lines, strict=True) if np.isnan(one).any()}
    if not wrong:
        return found, []
    if gaps == REFUSE:
        more = f"; so have {counted(len(wrong) - 1, 'more series', 'more series')}" if len(wrong) > 1 else ""
        remedy = "Fill them: data.gaps=interpolate or data.gaps=forward. Or leave such series out: data.gaps=skip"
        rule = f"the series has missing values{more}"
        raise DataError(rule, file=found.file, row=min(wrong), remedy=remedy, code="missing-value")
    places = [place for place, line in enumerate(found.lines) if gaps != SKIP or line not in wrong]
    if not places:
        remedy = "Set data.gaps=interpolate"
        raise DataError("every series has missing values", file=found.file, remedy=remedy, code="too-few-samples")
    values = tuple(_filled(found, place, gaps) for place in places)
    labels = tuple(found.labels[place] for place in places)
    lines = tuple(found.lines[place] for place in places)
    kept = LabeledSeries(found.file, found.kind, found.classes, values, labels, lines)
    return kept, sorted(wrong) if gaps == SKIP else []


def _filled(found: LabeledSeries, place: int, gaps: str) -> Floats:
    """(T, C) without NaN; before its first value a channel has that value."""
    values = found.values[place].copy()
    assert gaps in (FORWARD, INTERPOLATE, SKIP)
    every = np.arange(len(values))
    for number, channel in enumerate(values.T, 1):
        there = np.flatnonzero(~np.isnan(channel))
        if not len(there):
            rule = f"channel {number} of the series has no value, so that nothing can be filled in"
            remedy = "Delete the line, or leave such series out: data.gaps=skip"
            raise DataError(rule, file=found.file, row=found.lines[place], remedy=remedy, code="missing-value")
        if gaps == INTERPOLATE:
            channel[:] = np.interp(every, there, channel[there])
        else:
            channel[:] = channel[there[np.maximum(0, np.searchsorted(there, every, side="right") - 1)]]
    return values


def _refuse_others(given: Sequence[LabeledSeries]) -> None:
    """Raise DataError for files of other labels or channels than the first."""
    first = given[0]
    for other in given[1:]:
        if other.kind != first.kind:
            rule = f"has labels of kind {other.kind}, and {first.file} of kind {first.kind}"
            raise DataError(rule, file=other.file, remedy="Use files of one problem.", code="incompatible-data")
        channels, own = other.values[0].shape[1], first.values[0].shape[1]
        if channels != own:
            rule = f"has {counted(channels, 'channel')}, and {first.file} {own:,}"
            raise DataError(rule, file=other.file, remedy="Use files of one problem.", code="incompatible-data")


def _labels_of(given: Sequence[LabeledSeries]) -> _Labels:
    if given[0].kind == "value":
        return _Labels(np.array([[value] for found in given for value in _each(found, _value)]))
    named = dict.fromkeys(name for found in given for name in found.classes)
    present = sorted({label for found in given for label in found.labels if label not in _NO_LABEL})
    classes = tuple(named) or tuple(present)
    if len(present) < 2:
        rule = f"all series are of one class, {present[0]!r}" if present else "no series has a class"
        raise DataError(rule, file=given[0].file, remedy="Use series of two classes.", code="too-few-samples")
    # A class that the header names and no series has would be an output that nothing trains.
    classes = tuple(name for name in classes if name in present) if named else classes
    known = set(named) or set(present)
    numbers = {name: number for number, name in enumerate(classes)}
    found = [numbers[label] for one in given for label in _each(one, partial(_class, known))]
    return _Labels(np.array(found, dtype=np.int64), classes)


def _each(found: LabeledSeries, read: Callable[[str], Any]) -> list[Any]:
    """What `read` makes of each label. Raises DataError with the line where it makes nothing."""
    values = []
    for label, line in zip(found.labels, found.lines, strict=True):
        try:
            values.append(read(label))
        except ValueError as error:
            rule, remedy = str(error), "Correct the label after the last colon, or delete the line."
            if label in _NO_LABEL:
                rule = "the series has no label"
                remedy = "Write it after the last colon, or leave such series out: data.on_bad=skip"
            raise DataError(rule, file=found.file, row=line, remedy=remedy, code="invalid-value") from error
    return values


def _class(known: set[str], label: str) -> str:
    if label not in known:
        raise ValueError(f"unknown class {label!r}; @classLabel has {', '.join(sorted(known)[:20])}")
    return label


def _value(label: str) -> float:
    try:
        found = float(label)
    except ValueError:
        found = np.nan
    if not np.isfinite(found):
        raise ValueError(f"the label must be a finite number, got {label!r}")
    return found


def _column(labels: _Labels, rows: NDArray[np.int64]) -> Dense:
    return Dense(torch.from_numpy(labels.values[rows]))


def _numbers(rows: NDArray[np.int64]) -> torch.Tensor:
    return torch.from_numpy(rows)


def _named(places: Sequence[tuple[str, int]], numbers: NDArray[np.int64]) -> list[str]:
    return [f"{places[number][0]} line {places[number][1]}" for number in numbers.tolist()]
