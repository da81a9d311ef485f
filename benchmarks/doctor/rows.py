"""The results of the bench, a row for each run, and the counts of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.doctor.autotrainer import problems
from benchmarks.doctor.examination import Examinations, Finding, rank
from benchmarks.doctor.kinds.kind import Case, Kind
from benchmarks.doctor.remedies import Treatment, treat
from benchmarks.doctor.runs import Outcome, Runs, Store

SET_ON_SEEDS = (0, 1)  # with the first two networks of a kind: what thresholds are set on


@dataclass(frozen=True)
class Planned:
    """A run with a planted fault."""

    kind: Kind
    case: Case
    seed: int

    @property
    def is_kept_back(self) -> bool:
        """Whether no threshold is set on it: another seed, or the third network of its kind."""
        return self.seed not in SET_ON_SEEDS or self.case is self.kind.cases[2]


@dataclass(frozen=True)
class Row:
    """What was found of a run.

    Attributes:
        place: Of the right finding, from 1; None if it is not among the findings.
        codes: Of all findings, in their order.
        baseline: Place of the right code among AutoTrainer's problems.
        treatment: None if it was not asked for, or there was no right finding.
        values: The metric of the healthy twin and of this run; () without a metric.
    """

    planned: Planned
    place: int | None
    codes: tuple[str, ...]
    baseline: int | None
    treatment: Treatment | None
    values: tuple[float, ...]

    def within(self, places: int) -> bool:
        """Whether the right finding is among the first ones."""
        return self.place is not None and self.place <= places


def planned(
    kinds: Iterable[Kind], networks: Sequence[str], seeds: Sequence[int], part: tuple[int, int] = (1, 1)
) -> Iterator[Planned]:
    """The runs with these kinds, networks and seeds: those of the first part of so many."""
    number, count = part
    found = [
        Planned(kind, case, seed)
        for seed in seeds
        for kind in kinds
        for case in kind.cases
        if not networks or case.network in networks
    ]
    return iter(found[number - 1 :: count])


def trained(plan: Planned, runs: Runs) -> tuple[Outcome, Outcome]:
    """The healthy twin and the run with the fault."""
    healthy, sick = runs.of(plan.case.healthy, plan.seed), runs.of(plan.case.words, plan.seed)
    assert healthy is not None
    assert sick is not None
    return healthy, sick


def row(plan: Planned, runs: Runs, seen: Examinations, rules: Store, *, again: bool, remedies: bool) -> Row:
    """Examine a run, and treat it."""
    healthy, sick = trained(plan, runs)
    findings = seen.of(sick, again=again)
    place = rank(findings, plan.kind.codes)
    codes = tuple(str(one["code"]) for one in findings)
    treatment = None
    if remedies and place is not None:
        treatment = treat(plan.kind, plan.case, plan.seed, findings[place - 1], (healthy, sick), runs, seen)
    if sick.key not in rules.records:
        rules.add({"key": sick.key, "problems": problems(sick)})
    reported: list[Finding] = [{"code": code} for code in rules.records[sick.key]["problems"]]
    metric = plan.kind.metric
    values = tuple(one.metric(metric, plan.kind.at) for one in (healthy, sick)) if metric else ()
    return Row(plan, place, codes, rank(reported, plan.kind.codes), treatment, values)
