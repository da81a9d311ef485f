"""The verdicts of a comparison as sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dlexp.metrics.intervals.paired_difference import McNemar, PairedDifference
from dlexp.workflows.compare.measure import Measure


@dataclass(frozen=True)
class Pair:
    """The comparison of two groups.

    Attributes:
        difference: The first minus the second, in the unit of the metric.
        better: Label of the better group, None if they are not distinguishable.
        mcnemar: McNemar's test, if each group is one network and the metric is accuracy.
    """

    first: str
    second: str
    difference: PairedDifference
    better: str | None
    mcnemar: McNemar | None
    verdict: str


def verdict(ahead: str, behind: str, found: PairedDifference, measure: Measure) -> str:
    """A sentence on two groups, of which `ahead` has the better mean; `found` is ahead minus behind."""
    sign = measure.scale if measure.maximize else -measure.scale
    low, high = sorted((sign * found.low, sign * found.high))
    of = "'s network" if found.about == "samples" else ""
    what = f"{measure.unit} of {measure.name}" if measure.unit else measure.name
    bounds = f"{100 * found.level:.4g} % interval {_plain(low)} to {_plain(high)}"
    if found.low == found.high == 0:
        return f"{ahead} and {behind} do not differ: all values of {measure.name} are the same"
    if math.isinf(found.low):
        values = f"the seeds of each give the same value, {_plain(sign * found.value)} {what} apart"
        return f"{ahead} and {behind} are not distinguishable {_where(found)}: {values}, so their spread is unknown"
    gain = f"{_plain(sign * found.value)} {what}, {bounds}"
    if found.sign:
        return f"{ahead}{of} is better than {behind}{of} by {gain}"
    return f"{ahead}{of} and {behind}{of} are not distinguishable {_where(found)}: {gain}"


def conclusion(names: Sequence[str], pairs: Sequence[Pair], one_configuration: bool) -> str:
    """A sentence on all groups."""
    if one_configuration:
        return _of_one_configuration(names, pairs)
    if len(pairs) == 1:
        return pairs[0].verdict
    leader = max(names, key=lambda name: sum(pair.first == name for pair in pairs))
    rivals = [pair for pair in pairs if pair.first == leader]
    level = [pair.second for pair in rivals if pair.better is None]
    if not level:
        return f"{leader} is better than each of the {len(rivals)} other groups"
    return f"{leader} is best, but not distinguishable from {', '.join(level)}"


def _of_one_configuration(names: Sequence[str], pairs: Sequence[Pair]) -> str:
    text = f"not distinguishable: the {len(names)} runs have the same configuration and differ only in the seed"
    apart = [pair for pair in pairs if pair.better is not None]
    if apart:
        text += f"; {apart[0].verdict}, which is due to the seed"
    return text


def _where(found: PairedDifference) -> str:
    one, other = found.seeds
    if found.about == "samples":
        return f"on {found.samples:,} samples"
    return f"with {one if one == other else f'{one} and {other}'} seeds"


def _plain(number: float) -> str:
    """A difference with three digits."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
