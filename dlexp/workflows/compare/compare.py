"""`dlexp compare`: runs in groups that differ in the seed alone, their tables, and which group is better.

    comparison = compare([Path("outputs/train/a"), Path("outputs/train/b")], CompareOptions())

Reads directories and computes; prints nothing, loads no torch.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from dlexp.artifacts.runs.run_tree import runs_in
from dlexp.errors import ConfigError
from dlexp.metrics.intervals.paired_difference import (
    Difference,
    McNemar,
    mcnemar,
    over_samples,
    over_seeds,
    over_seeds_and_samples,
)
from dlexp.workflows.compare.groups import Setting, differing, grouped, labels
from dlexp.workflows.compare.predictions import Measure, read_scores
from dlexp.workflows.compare.repeated_runs import sameness
from dlexp.workflows.compare.verdict import Pair, conclusion, verdict
from dlexp.workflows.run_record.read import RunSummary, read_run_summary

_LEVEL = 0.95
_SEED = 0  # of the resampling: the same runs give the same interval each time


@dataclass(frozen=True)
class CompareOptions:
    """What is compared, and how.

    metric         of the verdict: accuracy, balanced_accuracy, log_loss, mae, mse; None for the usual one
    split          None for test where all runs were evaluated on it, val otherwise
    by             keys whose values make a group, () for everything but the seed
    tables_only    where nothing can be paired, give the tables, a verdict over the seeds alone where there are several,
                   and in `Comparison.unpaired` why; otherwise that is an error
    """

    metric: str | None = None
    split: str | None = None
    by: tuple[str, ...] = ()
    tables_only: bool = False


@dataclass(frozen=True)
class Spread:
    """Mean, standard deviation (n - 1; None for one run) and number of runs of one metric."""

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True)
class Group:
    """Runs of one configuration.

    metrics  name (val/loss, test/accuracy, seconds_per_epoch, parameters, weights_bytes) -> spread
    """

    label: str
    runs: tuple[Path, ...]
    seeds: tuple[int, ...]
    metrics: Mapping[str, Spread]


@dataclass(frozen=True)
class Comparison:
    """Everything that `dlexp compare` says.

    settings    what differs between the groups
    metric      of the verdicts, with its split: test/accuracy; "" where nothing could be paired
    maximize    whether more of it is better
    samples     in that split, 0 where the intervals are over seeds alone
    pairs       every two groups, the better one first where there is one
    verdict     the answer in one sentence
    notes       what a reader has to know to believe it
    unpaired    why there is no verdict, "" where there is one
    Where `samples` is 0 the verdict rests on the seeds alone.
    """

    groups: tuple[Group, ...]
    settings: tuple[Setting, ...]
    metric: str
    maximize: bool
    samples: int
    pairs: tuple[Pair, ...]
    verdict: str
    notes: tuple[str, ...]
    unpaired: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        plain = asdict(self)
        for group in plain["groups"]:
            group["runs"] = [str(path) for path in group["runs"]]
        return plain


def compare(runs: Sequence[Path], options: CompareOptions) -> Comparison:
    """Compare runs, or the runs of groups of seeds, that were trained on the same data.

    Raises ConfigError for fewer than two runs, runs that have trained no epoch, other data or rows, and runs that were
    not evaluated (naming the lines to type); with `tables_only` the last three are told in the result. Raises it for a
    `by` that puts runs of several configurations into one group.
    """
    read, notes = _distinct([read_run_summary(path) for folder in runs for path in runs_in(folder)])
    groups = grouped(read, options.by)
    if not options.by and len(groups) > 1:
        groups = [_once_each(group, notes) for group in groups]
    one_configuration = len(groups) == 1
    if one_configuration and options.by and len(grouped(read, ())) > 1:
        rule = f"puts all {len(read)} runs into one group, which leaves nothing to compare"
        raise ConfigError.one(
            "--by", ",".join(options.by), rule, "Name a key in which they differ, or leave --by out.", code="no-effect"
        )
    is_one_seed = one_configuration and len({run.seed for run in groups[0]}) == 1
    if one_configuration:
        groups = [[run] for run in (groups[0] if is_one_seed else _once_each(groups[0], notes))]
    settings = [] if one_configuration else differing(groups)
    names = labels(groups, settings)
    told = tuple(
        Group(name, tuple(run.path for run in group), tuple(run.seed for run in group), _table(group))
        for name, group in zip(names, groups, strict=True)
    )
    if is_one_seed:
        return Comparison(told, (), "", True, 0, (), sameness(read), tuple(notes))
    if options.by:
        notes.append(f"grouped by {', '.join(options.by)}: the spread within a group holds whatever else differs")
    try:
        answer = _over_samples(groups, names, options)
    except ConfigError as error:
        if not options.tables_only and not one_configuration:  # which has its answer without predictions
            raise
        answer = _over_seeds(groups, names, str(error))
    text = conclusion(names, answer.pairs, one_configuration) if answer.pairs or one_configuration else ""
    notes += _notes(answer, one_configuration)
    return Comparison(
        told,
        tuple(settings),
        answer.metric,
        answer.maximize,
        answer.samples,
        tuple(answer.pairs),
        text,
        tuple(notes),
        answer.unpaired,
    )


@dataclass(frozen=True)
class _Answer:
    """The pairs, and what they were computed from; `looks` at the test split, 0 for another."""

    metric: str
    maximize: bool
    samples: int
    pairs: Sequence[Pair]
    looks: int = 0
    unpaired: str = ""


def _distinct(runs: Sequence[RunSummary]) -> tuple[list[RunSummary], list[str]]:
    """(runs that have something to compare, what was left out); a run that is named twice counts once."""
    found = list({run.path.resolve(): run for run in runs}.values())
    notes, kept = [], []
    for run in found:
        if run.metrics:
            kept.append(run)
            if run.status.state != "finished":
                at = f"epoch {run.status.epoch} of {run.status.epochs}"
                notes.append(f"{run.path} is not finished ({run.status.state}, {at})")
        else:
            notes.append(f"left out: {run.path} has no epoch to its name ({run.status.state})")
    if len(kept) < 2:
        rule = f"two runs are needed to compare, and {len(kept)} of {len(found)} can be"
        raise ConfigError.one(
            "dlexp compare", "", "; ".join((rule, *notes)), "dlexp runs lists what there is", code="missing-value"
        )
    return kept, notes


def _once_each(group: Sequence[RunSummary], notes: list[str]) -> list[RunSummary]:
    """One run of each seed: a second is the same network again, and no other draw."""
    found: dict[int, RunSummary] = {}
    for run in group:
        if run.seed in found:
            notes.append(f"left out: {run.path} has the configuration and the seed of {found[run.seed].path}")
        found.setdefault(run.seed, run)
    return list(found.values())


def _over_samples(groups: Sequence[Sequence[RunSummary]], names: Sequence[str], options: CompareOptions) -> _Answer:
    """Every pair of groups from their saved predictions, with intervals that hold for all together (Bonferroni)."""
    scores = read_scores(groups, options.metric, options.split)
    measure, found = scores.measure, scores.groups
    order = _places([float(group.mean()) for group in found], measure.maximize)
    level = 1 - (1 - _LEVEL) / len(order)
    zero_or_one = measure.name == "accuracy"
    alone = [pair for pair in order if min(len(found[place]) for place in pair) == 1]
    networks = [(found[one], found[other]) for one, other in alone]
    of_networks = over_samples(networks, level, seed=_SEED, zero_or_one=zero_or_one) if alone else []
    by_pair = dict(zip(alone, of_networks, strict=True))
    pairs = []
    for one, other in order:
        first, second = found[one], found[other]
        difference = by_pair.get((one, other)) or over_seeds_and_samples(
            first, second, level, is_one_of_several=len(order) > 1
        )
        is_two = zero_or_one and len(first) == len(second) == 1
        test = mcnemar(first[0] > 0, second[0] > 0) if is_two else None
        pairs.append(_pair(names[one], names[other], difference, measure, test))
    looks = scores.looks if scores.split == "test" else 0
    return _Answer(f"{scores.split}/{measure.name}", measure.maximize, scores.samples, pairs, looks)


def _over_seeds(groups: Sequence[Sequence[RunSummary]], names: Sequence[str], why: str) -> _Answer:
    """The same from the monitored metric of each run, where every group has several seeds and the data are the same."""
    runs = [run for group in groups for run in group]
    monitors, prints = {run.monitor for run in runs}, {run.meta.get("split_hash") for run in runs}
    monitor = runs[0].monitor
    known = all(monitor in run.metrics for run in runs)
    if len(monitors) > 1 or len(prints) > 1 or not known or min(map(len, groups)) < 2 or len(groups) < 2:
        return _Answer("", True, 0, (), unpaired=why)
    name = monitor.partition("/")[2]
    measure = Measure(name, runs[0].directions.get(name) == "max")
    found = [np.asarray([run.metrics[monitor] for run in group]) for group in groups]
    order = _places([float(values.mean()) for values in found], measure.maximize)
    level = 1 - (1 - _LEVEL) / len(order)
    pairs = [
        _pair(names[one], names[other], over_seeds(found[one], found[other], level), measure, None)
        for one, other in order
    ]
    return _Answer(monitor, measure.maximize, 0, pairs)


def _places(means: Sequence[float], maximize: bool) -> list[tuple[int, int]]:
    """Every two places, that with the better mean first."""
    sign = 1 if maximize else -1
    return [
        (one, other) if sign * (means[one] - means[other]) >= 0 else (other, one)
        for one, other in combinations(range(len(means)), 2)
    ]


def _pair(ahead: str, behind: str, found: Difference, measure: Measure, test: McNemar | None) -> Pair:
    better = ahead if found.sign else None
    return Pair(ahead, behind, found, better, test, verdict(ahead, behind, found, measure))


def _notes(answer: _Answer, one_configuration: bool) -> list[str]:
    notes, about = [], {pair.difference.about for pair in answer.pairs}
    if len(answer.pairs) > 1:
        notes.append(f"the {len(answer.pairs)} intervals hold together with 95 %, so each is wider (Bonferroni)")
    if "samples" in about and not one_configuration:
        notes.append(
            "a configuration with one seed: its interval speaks of the trained network and not of the configuration; "
            "dlexp train --from RUN --seeds 5 trains more"
        )
    if "seeds" in about:
        notes.append(
            f"{answer.metric} at each run's best epoch: the intervals are over the seeds alone, for these very "
            "samples; dlexp evaluate RUN brings in the samples"
        )
    if answer.looks:
        notes.append(
            f"the test split of a run has been looked at {answer.looks} time{'s' if answer.looks != 1 else ''}; "
            "a choice made by it is no longer tested by it"
        )
    return notes


def _table(group: Sequence[RunSummary]) -> dict[str, Spread]:
    """The metrics that every run of the group has, time of an epoch, parameters and bytes of the best weights."""
    rows = [{**run.metrics, **_cost(run)} for run in group]
    shared = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: _spread([row[name] for row in rows]) for name in shared}


def _cost(run: RunSummary) -> dict[str, float]:
    weights = run.path / "checkpoints" / "best.pt"
    found = {"seconds_per_epoch": run.seconds / len(run.epochs)} if run.epochs else {}
    found |= {"parameters": run.meta["parameters"]} if "parameters" in run.meta else {}
    return found | ({"weights_bytes": weights.stat().st_size} if weights.is_file() else {})


def _spread(values: Sequence[float]) -> Spread:
    std = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), std, len(values))


__all__ = ["CompareOptions", "Comparison", "Group", "Pair", "Setting", "Spread", "compare"]
