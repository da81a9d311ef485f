"""The answer of a sweep in sentences: which configuration is best, and which it cannot be told apart from."""

from __future__ import annotations

from collections.abc import Sequence

from dlexp.config.schema.names import CASES, GROUPS, NOUNS
from dlexp.report.number_format import number
from dlexp.workflows.compare.measure import Measure
from dlexp.workflows.compare.standings.standings import Behind, Standing, Standings

_MOST_NAMED = 4
_MOST_REASON = 200  # characters
_NO_DIGIT = {"loss": "losses"}


def answer(found: Standings) -> str:
    """The result of a sweep in a few sentences."""
    parts = [_result(found), *_failures(found)]
    return " ".join(f"{part}." for part in parts if part)


def noun(keys: Sequence[str], count: int) -> str:
    """What the configurations are: optimizers, values of optim.lr, configurations.

    Args:
        keys: The keys that vary.
        count: How many there are.
    """
    if len(keys) != 1:
        return "configuration" if count == 1 else "configurations"
    key = keys[0]
    if key == CASES:
        return "case" if count == 1 else CASES
    if key not in GROUPS:
        return f"value of {key}" if count == 1 else f"values of {key}"
    one = NOUNS.get(key, key)
    return one if count == 1 else _NO_DIGIT.get(one, f"{one}s")


def value_text(row: Standing, metric: str) -> str:
    """The mean with its interval, such as `97.2 % (96.8 to 97.6 %)`."""
    if row.spread is None:
        return "-"
    mean = number(metric, row.spread.mean)
    if row.low is None or row.high is None:
        return mean
    low, high = number(metric, row.low), number(metric, row.high)
    return f"{mean} ({low.removesuffix(' %')} to {high})"


def gap_text(behind: Behind, measure: Measure) -> str:
    """A difference with its interval, such as `2.1 points (0.3 to 3.9)`."""
    scale, unit = measure.scale, f" {measure.unit}" if measure.unit else ""
    if behind.is_equal:
        return f"0{unit}"
    text = f"{_plain(scale * behind.value)}{unit}"
    if behind.low is None or behind.high is None:
        return text
    return f"{text} ({_plain(scale * behind.low)} to {_plain(scale * behind.high)})"


def _result(found: Standings) -> str:
    rows = [row for row in found.rows if row.spread is not None]
    best = next((row for row in rows if row.label == found.best), None)
    if best is None:
        return f"No configuration is best: {found.unpaired or 'they have no metric in common'}"
    name = found.metric.replace("/", " ")
    mean, things = value_text(best, found.metric), noun(found.keys, len(rows))
    seeds = _seeds(rows)
    if len(rows) == 1:
        whose = "One configuration" if len(found.rows) == 1 else f"Only {best.label}"
        return f"{whose} was trained: {name} {mean}, with {seeds}"
    if found.about:
        return _of_pairs(found, best, f"{name} {mean}, {seeds}", len(rows))
    first = f"Of {len(rows)} {things}, {best.label} has the best {name}, {mean}"
    if all(row.spread is not None and row.spread.n == 1 for row in rows):
        return f"{first}, but one seed each does not tell them apart: train several with --seeds 5"
    reason = found.unpaired.splitlines()[0] if found.unpaired else "their samples cannot be paired"
    return f"{first}, {seeds}. Whether it differs from the others by more than chance is not known: {reason}"


def _of_pairs(found: Standings, best: Standing, value: str, count: int) -> str:
    """The sentence where the best was compared with the others."""
    measure = Measure(found.metric.partition("/")[2], found.maximize)
    things = noun(found.keys, count)
    rivals = [row for row in found.ranked if row.behind is not None]
    level = [row for row in rivals if row.behind is not None and row.behind.is_level]
    worse = [row for row in rivals if row.behind is not None and not row.behind.is_level]
    if all(row.behind is not None and row.behind.is_equal for row in rivals):
        text = f"All {count} {things} give the same {value}"
    elif not worse:
        text = f"No difference between the {count} {things} is beyond chance: {best.label} has the best mean ({value})"
    else:
        text = f"Of {count} {things}, {best.label} is best: {value}"
        if level:
            text += f". It cannot be told apart from {_listed([row.label for row in level])}"
        by = [
            f"{row.label} by {gap_text(row.behind, measure)}"
            for row in (worse if len(worse) <= _MOST_NAMED else worse[: _MOST_NAMED - 1])
            if row.behind is not None
        ]
        more = len(worse) - len(by)
        text += f". Worse than {best.label}: " + "; ".join([*by, *([f"and {more} more"] if more else [])])
    alone = [row.label for row in found.rows if row.spread is not None and row.label != best.label and not row.behind]
    if alone:
        text += f". Not compared, with one seed: {_listed(alone)}"
    if found.about == "samples":
        text += (
            f". With one seed each this holds for these networks, not for the {things}: train several with --seeds 5"
        )
    return text


def _failures(found: Standings) -> list[str]:
    """A sentence for each configuration with jobs that did not finish."""
    parts = []
    for row in found.rows:
        if not row.failures:
            continue
        reason = " ".join(row.failures[0].split())[:_MOST_REASON].rstrip(".")
        jobs = len(row.failures) + len(row.runs)
        if not row.runs:
            parts.append(f"{row.label} has no result: {reason}")
        else:
            parts.append(f"{len(row.failures)} of {jobs} seeds of {row.label} failed: {reason}")
    return parts


def _seeds(rows: Sequence[Standing]) -> str:
    counts = sorted({row.spread.n for row in rows if row.spread is not None})
    if len(counts) > 1:
        return f"{counts[0]} to {counts[-1]} seeds"
    return "1 seed" if counts == [1] else f"{counts[0]} seeds"


def _listed(names: Sequence[str]) -> str:
    """Names as in a sentence: a, b and c."""
    if len(names) > _MOST_NAMED:
        return f"{', '.join(names[: _MOST_NAMED - 1])} and {len(names) - _MOST_NAMED + 1} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _plain(value: float) -> str:
    """A difference with three digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value + 0.0:.3g}"  # no -0
