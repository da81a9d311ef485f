"""The workflow `dlexp compare`: groups runs that differ only in the seed, and compares the groups.

    comparison = compare([Path("outputs/train/a"), Path("outputs/train/b")], CompareOptions())

It reads run directories only, and imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from dlexp.artifacts.runs.run_tree import check_sweep, runs_in
from dlexp.errors import ConfigError
from dlexp.findings import counted
from dlexp.metrics.intervals.blocks import LEAST_BLOCKS
from dlexp.metrics.intervals.paired_blocks import TimeBlocks, over_blocks
from dlexp.metrics.intervals.paired_difference import (
    Floats,
    McNemar,
    PairedDifference,
    difference_over_seeds,
    mcnemar,
    over_samples,
    over_seeds_and_samples,
)
from dlexp.text.quoting import command
from dlexp.workflows.compare.groups import DifferingKey, differing, grouped, labels
from dlexp.workflows.compare.measure import Measure
from dlexp.workflows.compare.named_metrics import shared_name
from dlexp.workflows.compare.predictions import is_paired, read_scores
from dlexp.workflows.compare.repeated_runs import sameness
from dlexp.workflows.compare.sample_figures import direction, refuse_other_samples, usual_metric
from dlexp.workflows.compare.spreads import Group, Spread, metric_spreads
from dlexp.workflows.compare.verdict import Pair, conclusion, verdict
from dlexp.workflows.run_record.read import RunSummary, read_run_summary

_LEVEL = 0.95
_SEED = 0  # of the resampling, so that the same runs always give the same interval


@dataclass(frozen=True)
class CompareOptions:
    """Options of a comparison.

    Attributes:
        metric: Of the verdict; None for the default of the task. accuracy, balanced_accuracy, log_loss, mae, mse, all
            metrics of sequence tasks, and some that runs name, are compared over samples; all others over seeds.
        split: None for test if all runs were evaluated on it, otherwise val.
        by: Keys whose values define a group; () for everything but the seed.
        tables_only: If samples cannot be paired, compare over the seeds and give the reason in `Comparison.unpaired`,
            instead of raising an error.
    """

    metric: str | None = None
    split: str | None = None
    by: tuple[str, ...] = ()
    tables_only: bool = False


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        settings: The differences between the groups.
        metric: Of the verdicts, with its split, such as test/accuracy; "" without a verdict.
        maximize: Whether a larger value is better.
        samples: The number of paired samples; 0 if the intervals are over the seeds only.
        pairs: All pairs of groups, the one with the better mean first.
        verdict: The conclusion in one sentence.
        notes: Limitations of the verdict.
        unpaired: Why samples could not be paired, "" if they were.
    """

    groups: tuple[Group, ...]
    settings: tuple[DifferingKey, ...]
    metric: str
    maximize: bool
    samples: int
    pairs: tuple[Pair, ...]
    verdict: str
    notes: tuple[str, ...]
    unpaired: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The comparison as plain values, for JSON."""
        plain = asdict(self)
        for group in plain["groups"]:
            group["runs"] = [str(path) for path in group["runs"]]
        return plain


def compare(runs: Sequence[Path], options: CompareOptions) -> Comparison:
    """Compare runs, or the runs of groups of seeds, that were trained on the same data.

    Args:
        runs: Directories of runs and of groups of seeds.
        options: Metric, split and grouping.

    Raises:
        ConfigError: Fewer than two runs have finished an epoch; `by` puts all configurations into one group; or, unless
            `tables_only`, the runs were not evaluated on the same samples.
    """
    for folder in runs:
        check_sweep(folder)
    read, notes = _distinct([read_run_summary(path) for folder in runs for path in runs_in(folder)])
    groups = grouped(read, options.by)
    if not options.by and len(groups) > 1:
        groups = [_once_each(group, notes) for group in groups]
    one_configuration = len(groups) == 1
    if one_configuration and options.by and len(grouped(read, ())) > 1:
        rule = f"puts all {len(read)} runs into one group"
        raise ConfigError.one(
            "--by", ",".join(options.by), rule, "Name a key in which they differ, or remove --by.", code="no-effect"
        )
    is_one_seed = one_configuration and len({run.seed for run in groups[0]}) == 1
    if one_configuration:
        groups = [[run] for run in (groups[0] if is_one_seed else _once_each(groups[0], notes))]
    settings = [] if one_configuration else differing(groups)
    names = labels(groups, settings)
    summaries = tuple(
        Group(name, tuple(run.path for run in group), tuple(run.seed for run in group), metric_spreads(group))
        for name, group in zip(names, groups, strict=True)
    )
    if is_one_seed:
        return Comparison(summaries, (), "", True, 0, (), sameness(read), tuple(notes))
    if options.by:
        notes.append(f"grouped by {', '.join(options.by)}: the spread within a group includes all other differences")
    answer = compare_groups(groups, names, options, is_one_configuration=one_configuration)
    text = conclusion(names, answer.pairs, one_configuration) if answer.pairs or one_configuration else ""
    notes += notes_on(answer, one_configuration, options.metric or usual_metric(read, options.split))
    return Comparison(
        summaries,
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
class ComparedPairs:
    """The pairs and the basis of their intervals.

    split_accesses  of the test split, 0 for another split
    blocks          independent stretches of time of forecasts, 0 for other samples
    notes           what a reader of the intervals must know
    """

    metric: str
    maximize: bool
    samples: int
    pairs: Sequence[Pair]
    split_accesses: int = 0
    unpaired: str = ""
    blocks: int = 0
    notes: tuple[str, ...] = ()


def compare_groups(
    groups: Sequence[Sequence[RunSummary]],
    names: Sequence[str],
    options: CompareOptions,
    *,
    is_one_configuration: bool = False,
) -> ComparedPairs:
    """All pairs of groups of runs, a name each. Raises ConfigError as `compare` does."""
    try:
        return _answer(groups, names, options)
    except ConfigError as error:
        wants_tables = options.tables_only and options.metric is None
        if not wants_tables and not is_one_configuration:  # one configuration can be compared without predictions
            raise
        return _over_seeds(groups, names, str(error))


def _answer(groups: Sequence[Sequence[RunSummary]], names: Sequence[str], options: CompareOptions) -> ComparedPairs:
    """All pairs of groups: over samples where the metric is a mean of them, otherwise over the seeds."""
    runs = [run for group in groups for run in group]
    metric = options.metric or usual_metric(runs, options.split)
    if (
        metric is None
        or is_paired(runs, metric, options.split)
        or not (found := shared_name(runs, metric, options.split))
    ):
        return _over_samples(groups, names, options)
    if direction(runs[0], metric) is None:
        rule = "its direction is unknown"
        remedy = "Train with mode: max or mode: min in metrics."
        raise ConfigError.one("--metric", metric, rule, remedy, code="missing-value")
    refuse_other_samples(runs, found)
    answer = _over_seeds(groups, names, "", found)
    if not answer.pairs:
        rule = "is no mean over samples, so it is compared over seeds: every configuration requires two"
        few = next((group[0] for group in groups if len(group) < 2), groups[0][0])
        remedy = f"Train more with {command('train', '--from', few.path, '--seeds', '5')}"
        raise ConfigError.one("--metric", metric, rule, remedy, code="missing-requirement")
    return answer


def _distinct(runs: Sequence[RunSummary]) -> tuple[list[RunSummary], list[str]]:
    """(runs with at least one epoch, notes on the others); a run that is named twice counts once."""
    found = list({run.path.resolve(): run for run in runs}.values())
    notes, kept = [], []
    for run in found:
        if run.metrics:
            kept.append(run)
            if run.status.state != "finished":
                at = f"epoch {run.status.epoch} of {run.status.epochs}"
                notes.append(f"{run.path} is not finished ({run.status.state}, {at})")
        else:
            notes.append(f"ignored: {run.path} has not finished an epoch ({run.status.state})")
    if len(kept) < 2:
        rule = f"requires two runs with a finished epoch, got {len(kept)} of {len(found)}"
        raise ConfigError.one(
            "dlexp compare", "", "; ".join((rule, *notes)), "List the runs with dlexp runs", code="missing-value"
        )
    return kept, notes


def _once_each(group: Sequence[RunSummary], notes: list[str]) -> list[RunSummary]:
    """One run per seed, since another one is the same network and not an independent sample; `notes` gets the rest."""
    found: dict[int, RunSummary] = {}
    for run in group:
        if run.seed in found:
            notes.append(f"ignored: {run.path} has the same configuration and seed as {found[run.seed].path}")
        found.setdefault(run.seed, run)
    return list(found.values())


def _over_samples(
    groups: Sequence[Sequence[RunSummary]], names: Sequence[str], options: CompareOptions
) -> ComparedPairs:
    """All pairs of groups, from their saved predictions, with simultaneous intervals (Bonferroni)."""
    scores = read_scores(groups, options.metric, options.split)
    measure, found, blocks = scores.measure, scores.groups, scores.blocks
    if blocks is not None and blocks.count < LEAST_BLOCKS:
        rule = f"the {scores.split} split has {counted(blocks.count, 'independent stretch', 'independent stretches')}"
        why = f"{rule} of time; {LEAST_BLOCKS} are required"
        return _over_seeds(groups, names, why)
    order = _places([float(group.mean()) for group in found], measure.maximize)
    level = 1 - (1 - _LEVEL) / len(order)
    is_right = measure.name in ("accuracy", "exact_match")
    zero_or_one = is_right and all(np.isin(group, (0.0, 1.0)).all() for group in found)
    alone = [pair for pair in order if min(len(found[place]) for place in pair) == 1]
    networks = [(found[one], found[other]) for one, other in alone]
    of_networks = _of_networks(networks, blocks, level, zero_or_one) if alone else []
    by_pair = dict(zip(alone, of_networks, strict=True))
    pairs = []
    for one, other in order:
        first, second = found[one], found[other]
        if blocks is not None:
            first, second = blocks.scores(first), blocks.scores(second)
        difference = by_pair.get((one, other)) or over_seeds_and_samples(
            first, second, level, is_one_of_several=len(order) > 1
        )
        is_two = zero_or_one and len(first) == len(second) == 1
        test = mcnemar(first[0] > 0, second[0] > 0) if is_two else None
        pairs.append(_pair(names[one], names[other], difference, measure, test))
    split_accesses = scores.split_accesses if scores.split == "test" else 0
    independent = 0 if blocks is None else blocks.count
    return ComparedPairs(
        f"{scores.split}/{measure.name}",
        measure.maximize,
        scores.samples,
        pairs,
        split_accesses,
        blocks=independent,
        notes=scores.notes,
    )


def _of_networks(
    pairs: Sequence[tuple[Floats, Floats]], blocks: TimeBlocks | None, level: float, zero_or_one: bool
) -> list[PairedDifference]:
    """The differences of single networks: over samples, or over stretches of time."""
    if blocks is None:
        return over_samples(pairs, level, seed=_SEED, zero_or_one=zero_or_one)
    return [over_blocks(first, second, blocks, level) for first, second in pairs]


def _over_seeds(
    groups: Sequence[Sequence[RunSummary]], names: Sequence[str], why: str, metric: str = ""
) -> ComparedPairs:
    """All pairs of groups, if every group has several seeds and the data is the same.

    Args:
        groups: The runs.
        names: Labels of the groups.
        why: Why samples could not be paired.
        metric: Metric with its split, "" for the monitored one.
    """
    runs = [run for group in groups for run in group]
    monitors, prints = {run.monitor for run in runs}, {run.meta.get("split_hash") for run in runs}
    monitor = metric or runs[0].monitor
    known = all(monitor in run.metrics for run in runs)
    if (
        (len(monitors) > 1 and not metric)
        or len(prints) > 1
        or not known
        or min(map(len, groups)) < 2
        or len(groups) < 2
    ):
        return ComparedPairs("", True, 0, (), unpaired=why)
    name = monitor.partition("/")[2]
    measure = Measure(name, direction(runs[0], name) == "max")
    found = [np.asarray([run.metrics[monitor] for run in group]) for group in groups]
    order = _places([float(values.mean()) for values in found], measure.maximize)
    level = 1 - (1 - _LEVEL) / len(order)
    pairs = [
        _pair(names[one], names[other], difference_over_seeds(found[one], found[other], level), measure, None)
        for one, other in order
    ]
    return ComparedPairs(monitor, measure.maximize, 0, pairs)


def _places(means: Sequence[float], maximize: bool) -> list[tuple[int, int]]:
    """All pairs of positions, the one with the better mean first."""
    sign = 1 if maximize else -1
    return [
        (one, other) if sign * (means[one] - means[other]) >= 0 else (other, one)
        for one, other in combinations(range(len(means)), 2)
    ]


def _pair(ahead: str, behind: str, found: PairedDifference, measure: Measure, test: McNemar | None) -> Pair:
    better = ahead if found.sign else None
    return Pair(ahead, behind, found, better, test, verdict(ahead, behind, found, measure))


def notes_on(answer: ComparedPairs, one_configuration: bool, metric: str | None) -> list[str]:
    """The limitations of intervals; `metric` is None for the monitored one."""
    notes, about = [], {pair.difference.about for pair in answer.pairs}
    if len(answer.pairs) > 1:
        notes.append(f"the {len(answer.pairs)} intervals are simultaneous at 95 % (Bonferroni), so each is wider")
    if answer.blocks:
        notes.append(
            f"windows of time overlap: the intervals count {answer.blocks} stretches of consecutive windows as "
            "independent, as dlexp evaluate does"
        )
    notes += answer.notes
    if "samples" in about and not one_configuration:
        notes.append(
            "a configuration has one seed: the interval applies to the trained network, not to the configuration. "
            "Train more seeds with dlexp train --from RUN --seeds 5"
        )
    if "seeds" in about:
        note = f"{answer.metric} at the best epoch of each run: the intervals are over the seeds, for fixed samples"
        notes.append(note if metric else f"{note}. Include the samples with dlexp evaluate RUN")
    if answer.split_accesses > 1:
        notes.append(
            f"a run was evaluated {answer.split_accesses} times on the test split. If you choose between runs "
            "by these results, they are too optimistic: choose by the validation split (--split val)"
        )
    return notes


__all__ = ["CompareOptions", "Comparison", "DifferingKey", "Group", "Pair", "Spread", "compare"]
