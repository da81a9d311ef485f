"""The configurations of a sweep: how each does over its seeds, and which of them differ from the best.

    standings = standings_of(Path("outputs/sweep/NAME"))    # None before two jobs have finished

It reads run directories and sweep.json only, and imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from dlexp.artifacts.files.writing import read_object
from dlexp.artifacts.runs.run_tree import SWEEP_STATES
from dlexp.config.schema.names import GROUPS
from dlexp.metrics.intervals.student_t import two_sided_point
from dlexp.report.number_format import is_share
from dlexp.text.quoting import command
from dlexp.workflows.compare.compare import ComparedPairs, CompareOptions, compare_groups, notes_on
from dlexp.workflows.compare.sample_figures import direction
from dlexp.workflows.compare.spreads import Spread, metric_spreads
from dlexp.workflows.compare.verdict import Pair
from dlexp.workflows.run_record.read import RunSummary, read_run_summary

LEVEL = 0.95
_MOST_PAIRED = 50  # configurations; more have over a thousand pairs, whose simultaneous intervals say nothing
_OTHER_DATA = "the configurations have different data, whose values are not compared"
_FINISHED = "finished"
_MOST_ITEMS = 3  # equal ones of a list that a label has one by one
_SEED = "seed"


@dataclass(frozen=True)
class Behind:
    """By how much a configuration is worse than the best one, in the unit of the metric; larger is worse.

    Attributes:
        low, high: Bounds of the interval, simultaneous over all pairs of the sweep; None if the spread is unknown.
        is_level: Whether the interval contains 0: the two are not distinguishable.
        is_equal: Whether all values are the same.
    """

    value: float
    low: float | None
    high: float | None
    is_level: bool
    is_equal: bool


@dataclass(frozen=True)
class Standing:
    """A configuration of a sweep.

    Attributes:
        label: Its values of the keys that vary.
        runs: Directories of its finished runs, relative to the sweep.
        failures: The reason of each of its jobs that did not finish.
        values: The metric of each run.
        spread: Mean, standard deviation and number of runs; None without a finished run.
        low, high: The interval of the mean over the seeds (Student's t, 95 %, each alone); None for one seed, and for
            seeds that give the same value.
        behind: The difference from the best; None for the best itself, and where it is not known.
        parameters: Number of parameters.
        seconds: Mean duration of a run.
    """

    label: str
    runs: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    spread: Spread | None = None
    low: float | None = None
    high: float | None = None
    behind: Behind | None = None
    parameters: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Standings:
    """All configurations of a sweep.

    Attributes:
        keys: The keys that vary, without the seed.
        metric: With its split, such as test/accuracy; "" where the jobs have none in common.
        maximize: Whether a larger value is better.
        about: What the intervals of differences generalize over: seeds and samples, samples, seeds; "" without any.
        samples: Number of paired samples, 0 if the intervals are over the seeds only.
        best: Label of the configuration with the best mean, "" if there is none.
        rows: In the order of the sweep.
        unpaired: Why there are no intervals of differences.
        notes: Limitations.
    """

    sweep: str
    keys: tuple[str, ...]
    metric: str
    maximize: bool
    about: str
    samples: int
    best: str
    rows: tuple[Standing, ...]
    unpaired: str
    notes: tuple[str, ...]

    @property
    def ranked(self) -> list[Standing]:
        """The rows with a mean, the best first, then the others."""
        sign = -1 if self.maximize else 1
        with_mean = [row for row in self.rows if row.spread is not None]
        first = sorted(
            with_mean, key=lambda row: (row.label != self.best, sign * (row.spread.mean if row.spread else 0.0))
        )
        return [*first, *(row for row in self.rows if row.spread is None)]

    def as_dict(self) -> dict[str, Any]:
        """The standings as plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Cell:
    """The jobs of a configuration, whatever their seeds."""

    label: str
    jobs: tuple[Mapping[str, Any], ...]
    runs: tuple[RunSummary, ...]


def standings_of(folder: Path) -> Standings | None:
    """The standings of the sweep in `folder`; None if fewer than two of its jobs have finished.

    Raises:
        DlexpError: A file of a run cannot be read.
    """
    content = read_object(folder / SWEEP_STATES)
    keys, cells = _cells(folder, content["jobs"])
    if sum(len(cell.runs) for cell in cells) < 2:
        return None
    compared = [cell for cell in cells if len(cell.runs) > 1] or [cell for cell in cells if cell.runs]
    answer, notes = _answer(compared, folder)
    metric, maximize = answer.metric, answer.maximize
    if not all(metric in run.metrics for cell in cells for run in cell.runs):
        metric, maximize = _monitored([run for cell in cells for run in cell.runs])
        answer = replace(answer, pairs=()) if answer.metric else answer
    rows = [_standing(cell, metric, folder) for cell in cells]
    has_other_data = len({run.meta.get("split_hash") for cell in cells for run in cell.runs}) > 1 and not answer.pairs
    if has_other_data:
        answer = replace(answer, unpaired=_OTHER_DATA)
    best = "" if has_other_data else _best(rows, [cell.label for cell in compared], answer.pairs, maximize)
    behind = {pair.second: _behind(pair, maximize) for pair in answer.pairs if pair.first == best}
    return Standings(
        str(folder),
        keys,
        metric,
        maximize,
        answer.pairs[0].difference.about if answer.pairs else "",
        answer.samples if answer.pairs else 0,
        best,
        tuple(replace(row, behind=behind.get(row.label)) for row in rows),
        answer.unpaired,
        tuple(notes),
    )


def _cells(folder: Path, jobs: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], list[_Cell]]:
    """(keys that vary but for the seed, the configurations in the order of the sweep)."""
    named = dict.fromkeys(key for job in jobs for key in job["varied"] if key != _SEED)
    keys = tuple(key for key in named if len({job["varied"].get(key) for job in jobs}) > 1)
    found: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for job in jobs:
        found.setdefault(tuple(job["varied"].get(key, "") for key in keys), []).append(job)
    cells = []
    for values, own in found.items():
        read = [read_run_summary(folder / job["run"]) for job in own if job["state"] == _FINISHED]
        runs = tuple(sorted((run for run in read if run.metrics), key=lambda run: run.seed))
        cells.append(_Cell(_label(keys, values), tuple(own), runs))
    return keys, cells


def _label(keys: Sequence[str], values: Sequence[str]) -> str:
    """The values of the keys: alone for one key, options by their name, others with the last part of their key."""
    values = [_repeated(value) for value in values]
    if len(keys) == 1:
        return values[0]
    words = [
        value if key in GROUPS else f"{key.rpartition('.')[2]}={value}"
        for key, value in zip(keys, values, strict=True)
        if value
    ]
    return " ".join(words) or "all"


def _repeated(value: str) -> str:
    """A list of more than three equal items as `16 x [64]`, any other value as it is."""
    items = value.removeprefix("[").removesuffix("]").split(",")
    is_list = value.startswith("[") and value.endswith("]") and "[" not in value[1:]
    equal = {item.strip() for item in items}
    return f"{len(items)} x [{equal.pop()}]" if is_list and len(items) > _MOST_ITEMS and len(equal) == 1 else value


def _answer(cells: Sequence[_Cell], folder: Path) -> tuple[ComparedPairs, list[str]]:
    """The pairs of configurations with runs, and the limitations of their intervals."""
    if len(cells) < 2:
        return ComparedPairs("", True, 0, ()), []
    if len(cells) > _MOST_PAIRED:
        why = f"{len(cells)} configurations have too many pairs; compare some keys: dlexp compare --by KEY"
        return ComparedPairs("", True, 0, (), unpaired=why), []
    groups = [list(cell.runs) for cell in cells]
    found = compare_groups(groups, [cell.label for cell in cells], CompareOptions(tables_only=True))
    again = command("evaluate", folder)
    return found, [note.replace("dlexp evaluate RUN", again) for note in notes_on(found, False, None)]


def _monitored(runs: Sequence[RunSummary]) -> tuple[str, bool]:
    """(the monitored metric of all runs, whether larger is better); ("", True) where they have none in common."""
    monitors = {run.monitor for run in runs}
    name = monitors.pop() if len(monitors) == 1 else ""
    if not name or not all(name in run.metrics for run in runs):
        return "", True
    return name, direction(runs[0], name.partition("/")[2]) == "max"


def _standing(cell: _Cell, metric: str, folder: Path) -> Standing:
    failures = tuple(str(job["reason"] or job["state"]) for job in cell.jobs if job["state"] != _FINISHED)
    if not cell.runs:
        return Standing(cell.label, failures=failures)
    values = tuple(float(run.metrics[metric]) for run in cell.runs) if metric else ()
    spreads = metric_spreads(cell.runs)
    spread = spreads.get(metric)
    low, high = _interval(spread, metric) if spread is not None else (None, None)
    return Standing(
        cell.label,
        tuple(str(run.path.relative_to(folder)) for run in cell.runs),
        failures,
        values,
        spread,
        low,
        high,
        None,
        round(spreads["parameters"].mean) if "parameters" in spreads else None,
        fmean(run.seconds for run in cell.runs),
    )


def _interval(spread: Spread, metric: str) -> tuple[float | None, float | None]:
    """Student's t interval of a mean over the seeds, within the range of a share."""
    if not spread.std:
        return None, None
    margin = two_sided_point(1 - LEVEL, spread.n - 1.0) * spread.std / math.sqrt(spread.n)
    low, high = spread.mean - margin, spread.mean + margin
    return (max(0.0, low), min(1.0, high)) if is_share(metric) and 0 <= spread.mean <= 1 else (low, high)


def _best(rows: Sequence[Standing], compared: Sequence[str], pairs: Sequence[Pair], maximize: bool) -> str:
    """The label of the best configuration among those that are compared: with the best mean."""
    if pairs:
        firsts = [pair.first for pair in pairs]
        return max(compared, key=firsts.count)
    sign = 1 if maximize else -1
    with_mean = [row for row in rows if row.label in compared and row.spread is not None]
    best = max(with_mean, key=lambda row: sign * row.spread.mean if row.spread else 0.0, default=None)
    return best.label if best is not None else ""


def _behind(pair: Pair, maximize: bool) -> Behind:
    found, sign = pair.difference, 1 if maximize else -1
    low, high = sorted((sign * found.low, sign * found.high))
    is_equal = found.low == found.high == 0
    if not math.isfinite(low):
        return Behind(sign * found.value, None, None, is_level=True, is_equal=False)
    return Behind(sign * found.value, low, high, pair.better is None, is_equal)
