"""Series as a data bundle: parts by time, scales of the training part, windows.

Symbols: M steps of all series together, L steps of a window, H of a horizon, C channels, V targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle, Split, fingerprint_of
from dlexp.data.preprocess import Identity
from dlexp.data.series.baselines import reference_forecasts
from dlexp.data.series.calendar import calendar_names, calendar_values
from dlexp.data.series.parts import PARTS, WindowOptions, check_lengths, cuts_of, windows_of
from dlexp.data.series.series_set import REFUSE, SKIP, Floats, Series, SeriesColumns, SeriesSet, filled
from dlexp.data.series.windows import WindowInputs, WindowTargets
from dlexp.errors import DataError
from dlexp.findings import counted
from dlexp.sequence_specs import ForecastSpec, SeriesSpec
from dlexp.specs import DataSpec
from dlexp.text.shown_time import shown_time
from dlexp.types import TimesOf

_TARGETS_PRINT = "targets_fingerprint"  # of targets and cuts alone: runs with other covariates have the same


@dataclass(frozen=True)
class Scale:
    """Mean and deviation of each column of numbers over the training part."""

    mean: Floats
    std: Floats

    @classmethod
    def of(cls, values: Sequence[Floats]) -> Scale:
        """Of (n, C) training values of each series, without NaN; of a constant column the deviation is 1."""
        every = np.concatenate(values)
        mean, std = np.nanmean(every, axis=0), np.nanstd(every, axis=0)
        tiny = 1e-12 * np.maximum(np.abs(mean), 1e-300)
        return cls(mean, np.where(std > tiny, std, 1.0))


def network_inputs(
    values: Floats, future: Floats, times: NDArray[Any] | None, columns: SeriesColumns, scale: Scale
) -> Floats:
    """(n, C) inputs of the n steps of a series: what each step has, then what is known H steps ahead of it.

    Args:
        values: (n, targets + past + known).
        future: (H, known) of the steps after the last one, NaN where they are not needed.
        times: (n + H,) for parts of the calendar, None without them.
        columns: Which columns are what.
        scale: Of the columns of `values`.
    """
    here = (values - scale.mean) / scale.std
    ahead = [np.zeros((len(values), 0))]
    horizon = len(future)
    if columns.known:
        count = len(columns.known)
        later = (future - scale.mean[-count:]) / scale.std[-count:]
        ahead.append(np.concatenate([here[:, -count:], later])[horizon:])
    if columns.calendar:
        assert times is not None
        parts = calendar_values(times, columns.calendar)
        here = np.concatenate([here, parts[: len(values)]], axis=1)
        ahead.append(parts[horizon:])
    return np.concatenate([here, *ahead], axis=1)


def channel_names(columns: SeriesColumns, horizon: int) -> list[str]:
    """The names of the C inputs."""
    ahead = [*columns.known, *calendar_names(columns.calendar)]
    return [*columns.values, *calendar_names(columns.calendar), *(f"{name}+{horizon}" for name in ahead)]


def forecast_bundle(
    found: SeriesSet, options: WindowOptions, gaps: str = REFUSE, period: int | None = None
) -> DataBundle:
    """Windows of the series, divided by time, scaled by the training part.

    Raises DataError for series that are too short, and for a horizon that does not fit.
    """
    found, notes = _without_empty_starts(found)
    cuts = cuts_of(found, options)
    notes += check_lengths(found, cuts, options)
    values = [filled(one.values, gaps, own) for one, own in zip(found.series, cuts, strict=True)]
    season = found.frequency.season if period is None else period
    scale = Scale.of([own[:val] for own, (val, _) in zip(values, cuts, strict=True)])
    inputs = [_inputs_of(found, one, own, scale, options) for one, own in zip(found.series, values, strict=True)]
    ends = np.cumsum([len(one) for one in found.series])
    firsts, left = _all_windows(found, values, cuts, options, gaps)
    notes += left
    targets = len(found.columns.targets)
    stacked = torch.from_numpy(np.concatenate(inputs).astype(np.float32))
    learned = torch.from_numpy(np.concatenate([own[:, :targets] for own in values]))
    splits = {
        part: Split(WindowInputs(stacked, at, options.window), WindowTargets(learned, at, options.horizon), at)
        for part, at in zip(PARTS, (torch.from_numpy(part) for part in firsts), strict=True)
    }
    begins = np.concatenate([[0], ends[:-1]])
    spec = ForecastSpec(
        found.columns.targets,
        options.horizon,
        tuple(scale.mean[:targets].tolist()),
        tuple(scale.std[:targets].tolist()),
        season,
        tuple(one.name for one in found.series) if len(found.series) > 1 else (),
        tuple(begins.tolist()),
        tuple(_naive_error(own[:val, :targets], season) for own, (val, _) in zip(values, cuts, strict=True)),
    )
    notes += _scale_notes(spec, scale, targets)
    own_start = np.repeat(begins, [len(one) for one in found.series])
    return DataBundle(
        spec=DataSpec(SeriesSpec(stacked.shape[1], options.window), spec),
        splits=splits,
        preprocess=Identity(),
        fingerprint=fingerprint_of(*(one.values for one in found.series), np.array(cuts)),
        preprocessing={
            **_plain(found, options, scale, season, gaps),
            _TARGETS_PRINT: fingerprint_of(*(one.values[:, :targets] for one in found.series), np.array(cuts)),
        },
        notes=(*found.notes, *notes),
        omitted=found.omitted,
        target=found.columns.targets[0] if targets == 1 else "",
        named=partial(_named, found.series, begins),
        references=partial(_references, splits, season, own_start),
        times=_times_of(found.series, options.horizon),
    )


def _references(splits: Mapping[str, Split], period: int, series: NDArray[np.int64], split: str) -> dict[str, Floats]:
    return reference_forecasts(splits, split, period, series)


def _times_of(series: Sequence[Series], horizon: int) -> TimesOf | None:
    """Numbers of windows (N,) -> the times of their targets (N, H); None without a column of times."""
    times = [one.times for one in series if one.times is not None]
    if len(times) < len(series):
        return None
    return partial(_targets_at, np.concatenate(times), np.arange(horizon))


def _targets_at(times: NDArray[Any], ahead: NDArray[np.int64], numbers: NDArray[np.int64]) -> NDArray[Any]:
    return np.asarray(times[numbers[:, None] + ahead])


def _without_empty_starts(found: SeriesSet) -> tuple[SeriesSet, list[str]]:
    """Series from their first step with all values on."""
    kept, left = [], 0
    for one in found.series:
        whole = np.flatnonzero(~np.isnan(one.values).any(axis=1))
        begin = int(whole[0]) if len(whole) else len(one)
        left += begin
        times = None if one.times is None else one.times[begin:]
        kept.append(Series(one.name, times, one.values[begin:], one.lines[begin:]) if begin else one)
    note = f"{counted(left, 'step')} before the first complete one left out"
    return replace(found, series=tuple(kept)), [note] if left else []


def _inputs_of(found: SeriesSet, one: Series, values: Floats, scale: Scale, options: WindowOptions) -> Floats:
    horizon, times = options.horizon, None
    if found.columns.calendar:
        assert one.times is not None
        later = found.frequency.after(one.times[-1], horizon) if len(one) else None
        # The last H steps begin no window: what they would know ahead is never read.
        times = np.concatenate([one.times, one.times[-horizon:] if later is None else later])
        times = np.resize(times, len(one) + horizon)
    future = np.full((horizon, len(found.columns.known)), np.nan)
    return network_inputs(values, future, times, found.columns, scale)


def _all_windows(
    found: SeriesSet, values: Sequence[Floats], cuts: Sequence[tuple[int, int]], options: WindowOptions, gaps: str
) -> tuple[list[NDArray[np.int64]], list[str]]:
    """First targets of the windows of each part, as steps of all series together; notes on those that are left out.

    Val and test have no window with a target that was filled in: a forecast would be compared with a value that was
    not measured.
    """
    firsts: list[list[NDArray[np.int64]]] = [[], [], []]
    offset, left = 0, [0, 0, 0]
    targets = len(found.columns.targets)
    for one, own, at in zip(found.series, values, cuts, strict=True):
        unusable = np.concatenate([[0], np.cumsum(np.isnan(own).any(axis=1))])
        unseen = np.concatenate([[0], np.cumsum(np.isnan(one.values[:, :targets]).any(axis=1))])
        for part, begins in enumerate(windows_of(len(one), at, options)):
            ends = begins + options.horizon
            bad = unusable[ends] > unusable[begins - options.window]
            if part:
                bad |= unseen[ends] > unseen[begins]
            left[part] += int(bad.sum())
            firsts[part].append(begins[~bad] + offset)
        offset += len(one)
    joined = [np.concatenate(part) for part in firsts]
    for name, windows in zip(PARTS, joined, strict=True):
        if not len(windows):
            rule = f"no window of the {name} part is without a gap"
            remedy = "Set data.gaps=interpolate" if gaps == SKIP else "Use data with fewer gaps there."
            raise DataError(rule, file=found.file, remedy=remedy, code="too-few-samples")
    shares = [f"{count:,} of {name}" for name, count in zip(PARTS, left, strict=True) if count]
    why = "they have a gap" if gaps == SKIP else "a target in them was missing"
    return joined, [f"windows left out: {', '.join(shares)}; {why}"] if shares else []


def _naive_error(train: Floats, period: int) -> tuple[float, ...]:
    """Mean |y[t] - y[t - period]| of each target over the training part, 0 where there is none."""
    if len(train) <= period:
        return (0.0,) * int(train.shape[1])
    apart = np.abs(train[period:] - train[:-period])
    seen = ~np.isnan(apart)
    total = np.where(seen, apart, 0.0).sum(axis=0)
    return tuple(float(mean) for mean in total / np.maximum(1, seen.sum(axis=0)))


def _scale_notes(spec: ForecastSpec, scale: Scale, targets: int) -> list[str]:
    undefined = sum(any(value == 0 for value in own) for own in spec.naive_error)
    if not undefined:
        return []
    which = f"of {undefined:,} of {len(spec.naive_error):,} series" if len(spec.naive_error) > 1 else ""
    return [
        f"MASE {which} is undefined: the training part has no change over {counted(spec.period, 'step')}".replace(
            "  ", " "
        )
    ]


def _plain(found: SeriesSet, options: WindowOptions, scale: Scale, period: int, gaps: str) -> dict[str, Any]:
    """What a prediction needs to know, as plain values."""
    columns = found.columns
    return {
        "kind": "series",
        "targets": list(columns.targets),
        "past": list(columns.past),
        "known": list(columns.known),
        "calendar": list(columns.calendar),
        "channels": channel_names(columns, options.horizon),
        "series": columns.series,
        "time": found.time,
        "frequency": found.frequency.to_plain(),
        "window": options.window,
        "horizon": options.horizon,
        "period": period,
        "gaps": gaps,
        "mean": scale.mean.tolist(),
        "std": scale.std.tolist(),
    }


def _named(series: Sequence[Series], begins: NDArray[np.int64], numbers: NDArray[np.int64]) -> list[str]:
    """What windows are called: the time of their first target, with the series where there are several."""
    found = []
    for number, at in zip(numbers.tolist(), (np.searchsorted(begins, numbers, side="right") - 1).tolist(), strict=True):
        one, step = series[at], number - int(begins[at])
        when = f"step {step + 1}" if one.times is None else shown_time(one.times[step])
        found.append(f"{one.name} {when}" if len(series) > 1 else when)
    return found
