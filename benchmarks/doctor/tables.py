"""The Markdown of the bench."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

from benchmarks.doctor.examination import wilson
from benchmarks.doctor.rows import Planned, Row
from benchmarks.doctor.runs import Outcome

Test = Callable[[Row], bool]
HEADER = ("kind", "planted", "metric: healthy, sick", "right", "n", "first", "top 2", "mended", "AutoTrainer", "misses")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def share(hits: int, trials: int) -> str:
    """A share and its interval."""
    if not trials:
        return "-"
    low, high = wilson(hits, trials)
    return f"{hits}/{trials} = {hits / trials:.1%} ({low:.1%} to {high:.1%})"


def illness(pairs: Iterable[tuple[Planned, Outcome, Outcome]]) -> str:
    """Whether each planted fault hurts: the metric of the healthy twins and of the runs with it."""
    by_case: dict[tuple[str, str], list[tuple[Planned, float, float]]] = {}
    for plan, healthy, sick in pairs:
        metric = plan.kind.metric or "accuracy"
        values = (healthy.metric(metric, plan.kind.at), sick.metric(metric, plan.kind.at))
        by_case.setdefault((plan.kind.name, plan.case.network), []).append((plan, *values))
    lines = []
    for (name, network), found in by_case.items():
        kind = found[0][0].kind
        worse = sum(kind.better(well, ill) for _, well, ill in found)
        verdict = f"{worse}/{len(found)}" if kind.metric else "no harm meant"
        numbers = [", ".join(f"{value:.3g}" for value in column) for column in list(zip(*found, strict=True))[1:]]
        lines.append((name, network, kind.metric or "(accuracy)", *numbers, verdict))
    return table(("kind", "network", "metric", "healthy", "sick", "worse"), lines)


def by_kind(rows: Sequence[Row]) -> str:
    """A line a kind, and all of them."""
    kinds = list(dict.fromkeys(row.planned.kind.name for row in rows))
    lines = [_line([row for row in rows if row.planned.kind.name == name]) for name in kinds]
    return table(HEADER, lines)


def _line(rows: Sequence[Row]) -> tuple[object, ...]:
    kind, count = rows[0].planned.kind, len(rows)
    values = "-"
    if kind.metric:
        values = f"{kind.metric}: {_mean(rows, 0)}, {_mean(rows, 1)}"
    treated = [row.treatment for row in rows if row.treatment is not None and row.treatment.is_mended is not None]
    mended = f"{sum(bool(one.is_mended) for one in treated)}/{len(treated)}" if treated else "no words"
    return (
        kind.name, kind.planted, values, ", ".join(kind.codes), count, sum(row.within(1) for row in rows),
        sum(row.within(2) for row in rows), mended, sum(row.baseline is not None for row in rows), _misses(rows),
    )  # fmt: skip


def _mean(rows: Sequence[Row], number: int) -> str:
    values = [row.values[number] for row in rows]
    return f"{fmean(values):.3g}" if all(map(math.isfinite, values)) else "not finite"


def _misses(rows: Sequence[Row]) -> str:
    missed = [row for row in rows if not row.within(2)]
    return "; ".join(
        f"{row.planned.case.network} {row.planned.seed}: {', '.join(row.codes[:3]) or 'nothing'}" for row in missed
    )


def summary(rows: Sequence[Row]) -> str:
    """Shares over all runs, over those that thresholds are set on, and over those that are kept back."""
    groups: tuple[tuple[str, Test], ...] = (
        ("all", lambda row: True),
        ("thresholds set on", lambda row: not row.planned.is_kept_back),
        ("kept back", lambda row: row.planned.is_kept_back),
    )
    lines = []
    for name, belongs in groups:
        found = [row for row in rows if belongs(row)]
        treated = [row.treatment for row in found if row.treatment is not None and row.treatment.is_mended is not None]
        lines.append((
            name, share(sum(row.place is not None for row in found), len(found)),
            *(share(sum(row.within(places) for row in found), len(found)) for places in (1, 2)),
            share(sum(bool(one.is_mended) for one in treated), len(treated)),
            share(sum(row.baseline is not None for row in found), len(found)),
        ))  # fmt: skip
    return table(("runs", "found", "first", "top 2", "mended, of those with words", "AutoTrainer"), lines)
