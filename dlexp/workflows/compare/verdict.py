"""The verdicts of a comparison in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dlexp.metrics.intervals.paired_difference import Difference, McNemar
from dlexp.workflows.compare.predictions import Measure


@dataclass(frozen=True)
class Pair:
    """Two groups: the difference of the first less the second in the metric's own unit, and what it means in words.

    better   label of the better one, None where they are not distinguishable
    mcnemar  where each is one network and the metric is accuracy
    """

    first: str
    second: str
    difference: Difference
    better: str | None
    mcnemar: McNemar | None
    verdict: str


def verdict(ahead: str, behind: str, found: Difference, measure: Measure) -> str:
    """One sentence on two groups, of which `ahead` did at least as well; `found` is ahead less behind."""
    sign = measure.scale if measure.maximize else -measure.scale
    low, high = sorted((sign * found.low, sign * found.high))
    of = "'s network" if found.about == "samples" else ""
    what = f"{measure.unit} of {measure.name}" if measure.unit else measure.name
    bounds = f"{100 * found.level:.4g} % interval {_plain(low)} to {_plain(high)}"
    if found.low == found.high == 0:
        return f"{ahead} and {behind} do not differ: every {measure.name} is the same in both"
    if math.isinf(found.low):
        values = f"each has one value with all its seeds, {_plain(sign * found.value)} {what} apart"
        return f"{ahead} and {behind} are not distinguishable {_where(found)}: {values}, so their spread is unknown"
    gain = f"{_plain(sign * found.value)} {what}, {bounds}"
    if found.sign:
        return f"{ahead}{of} is better than {behind}{of} by {gain}"
    return f"{ahead}{of} and {behind}{of} are not distinguishable {_where(found)}: {gain}"


def conclusion(names: Sequence[str], pairs: Sequence[Pair], one_configuration: bool) -> str:
    """One sentence on all groups."""
    if one_configuration:
        return _of_one_configuration(names, pairs)
    if len(pairs) == 1:
        return pairs[0].verdict
    leader = max(names, key=lambda name: sum(pair.first == name for pair in pairs))
    rivals = [pair for pair in pairs if pair.first == leader]
    level = [pair.second for pair in rivals if pair.better is None]
    if not level:
        return f"{leader} is better than each of the {len(rivals)} others"
    return f"{leader} did best, and is not distinguishable from {', '.join(level)}"


def _of_one_configuration(names: Sequence[str], pairs: Sequence[Pair]) -> str:
    text = f"not distinguishable: the {len(names)} runs are one configuration, and differ in the seed alone"
    apart = [pair for pair in pairs if pair.better is not None]
    if apart:
        text += f"; {apart[0].verdict}, which is the luck of the seed"
    return text


def _where(found: Difference) -> str:
    one, other = found.seeds
    if found.about == "samples":
        return f"on {found.samples:,} samples"
    return f"with {one if one == other else f'{one} and {other}'} seeds"


def _plain(number: float) -> str:
    """A difference to three digits."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
