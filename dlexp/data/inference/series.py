"""Prediction inputs from series: the last window of each, and the times of the steps after it.

Symbols: N series, L steps of a window, H of a horizon, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dlexp.data.inference.items import InputItems
from dlexp.data.inference.standard_input import standard_input
from dlexp.data.series.bundling import Scale, network_inputs
from dlexp.data.series.frequency import AUTO, Frequency
from dlexp.data.series.reading import NONE, ReadingOptions, series_of
from dlexp.data.series.series_set import FORWARD, INTERPOLATE, Series, SeriesColumns, SeriesSet, filled
from dlexp.data.series.tsf_file import is_tsf, read_tsf
from dlexp.data.splits.by_time import shown_times
from dlexp.data.tables.files.opening import STDIN
from dlexp.data.tables.files.reading import read_table
from dlexp.data.tables.files.table_form import FormSettings
from dlexp.data.tables.spelling import MISSING, Marks
from dlexp.errors import DataError
from dlexp.types import Sequences


@dataclass(frozen=True)
class SeriesInput:
    """How a run reads series; see `forecast_bundle`, which records it.

    plain      the preprocessing of the run
    arguments  of its data source
    settings   of the form of new files
    """

    plain: Mapping[str, Any]
    arguments: Mapping[str, Any]
    settings: FormSettings
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, plain: Mapping[str, Any], arguments: Mapping[str, Any], separator: str | None) -> SeriesInput:
        """The reading that a run records. Raises DataError for a run of series of another kind."""
        if plain.get("kind") != "series" or "window" not in plain:
            rule = "predicting files is not supported with these series"
            raise DataError(rule, code="not-supported")
        found = {"encoding": arguments.get("encoding", AUTO)} | ({} if separator is None else {"separator": separator})
        return cls(plain, arguments, FormSettings.of(found))

    @property
    def columns(self) -> SeriesColumns:
        """The columns of the run."""
        names = {key: tuple(self.plain[key]) for key in ("targets", "past", "known", "calendar")}
        return SeriesColumns(**names, series=self.plain["series"], time=self.plain["time"] or NONE)

    def check(self, path: str) -> None:
        """Raise DataError for a file that is not read as the training data were."""
        self._series(path)

    def read(self, path: str) -> InputItems:
        """A window of each series; one that is too short, or has a gap in its window, is an item with a problem."""
        found = self._of_input() if path == STDIN else self._series(path)
        windows: list[torch.Tensor] = []
        problems: list[str] = []
        times: list[Any] = []
        steps: list[Any] = []
        names: list[str] = []
        for one in found.series:
            window, after, problem = self._window(one, found)
            problems.append(problem)
            if window is not None:
                windows.append(torch.from_numpy(window.astype(np.float32)))
            times.append("" if problem else after)
            steps.append("" if problem else tuple(range(1, int(self.plain["horizon"]) + 1)))
            names.append(one.name)
        count, length = len(found.series), int(self.plain["window"])
        columns: dict[str, list[Any]] = {"input": [path] * count}
        if any(names):
            columns["series"] = names
        columns["step"] = steps
        columns["time"] = times
        stacked = torch.stack(windows) if windows else torch.zeros(0, length, len(self.plain["channels"]))
        return InputItems(columns, problems, Sequences(stacked, torch.full((len(stacked),), length)))

    def _of_input(self) -> SeriesSet:
        with standard_input(lambda head: ".tsf" if head.lstrip().startswith((b"@", b"#")) else ".csv") as file:
            return self._series(str(file))

    def _series(self, path: str) -> SeriesSet:
        if is_tsf(Path(path)):
            return read_tsf(Path(path), "skip")
        marks = Marks([*self.arguments.get("missing_values", MISSING)])
        declared = dict(self.plain.get("declared", {}))
        wanted = self.columns
        labels = [wanted.series] if wanted.series is not None else []
        table, _ = read_table(
            Path(path), self.settings, marks, [*wanted.targets], declared, as_texts=labels, may_be_list=True
        )
        options = ReadingOptions(declared, self._frequency_word(), bool(self.plain.get("sort")), "skip", is_new=True)
        return series_of(table, wanted, options)

    def _frequency_word(self) -> str:
        """The frequency of training, in the words of data.frequency."""
        unit, step = self.plain["frequency"]["unit"], self.plain["frequency"]["step"]
        words = {"second": "s", "month": "mo", "business_day": "b", "number": ""}
        return "rows" if unit == "row" else f"{step:g}{words[unit]}"

    def _window(self, one: Series, found: SeriesSet) -> tuple[Any, tuple[str, ...], str]:
        """(L, C) of the last window, the times of the forecast, and why there is none."""
        plain, columns = self.plain, self.columns
        length, horizon, count = int(plain["window"]), int(plain["horizon"]), len(columns.targets)
        blank = ("",) * horizon
        there = np.flatnonzero(~np.isnan(one.values[:, :count]).all(axis=1))
        end = int(there[-1]) + 1 if len(there) else 0
        if end < length:
            return None, blank, f"has {end:,} steps, and the run needs the last {length:,} (data.window)"
        gaps = plain.get("gaps", "refuse")
        values = filled(one.values[:end], gaps if gaps in (FORWARD, INTERPOLATE) else "", ())
        frequency = Frequency(**plain["frequency"])
        later = frequency.after(None if one.times is None else one.times[end - 1], horizon)
        after = blank if later is None or one.times is None else shown_times(later, one.times)
        missing = np.isnan(values[-length:]).any(axis=1)
        if missing.any():
            back = int(length - np.flatnonzero(missing)[0])
            line = int(one.lines[end - back]) if one.lines[end - back] >= 0 else 0
            where = f"{found.unit} {line}" if line else f"{back} steps before the end"
            return (
                None,
                after,
                f"a value of the last window is missing: {where}. Fill it, or train with data.gaps=forward",
            )
        future = np.full((horizon, len(columns.known)), np.nan)
        rest = one.values[end : end + horizon, len(columns.values) - len(columns.known) :]
        future[: len(rest)] = rest
        if columns.known and np.isnan(future).any():
            rule = f"the next {horizon} steps need the columns {', '.join(columns.known)} (data.known)"
            return None, after, f"{rule}: add rows with them after the last target, without a target"
        times = None
        if columns.calendar:
            if one.times is None or later is None:
                return None, after, "the times of the next steps cannot be told, and data.calendar needs them"
            times = np.concatenate([one.times[:end], later])
        scale = Scale(np.array(plain["mean"]), np.array(plain["std"]))
        return network_inputs(values, future, times, columns, scale)[-length:], after, ""
