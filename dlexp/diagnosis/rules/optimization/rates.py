"""Learning rates that are too high or too low, judged by trials with others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from math import inf, isfinite
from statistics import median

from dlexp.diagnosis.case import Case, Start, Trace
from dlexp.diagnosis.rules.optimization.schedules import SPENT, other_schedule, rate_left
from dlexp.diagnosis.rules.trials import (
    Attempt,
    Reached,
    attempt,
    base_name,
    best_attempt,
    reached_by_run,
    trial_evidence,
    without_knowledge,
)
from dlexp.diagnosis.verdict import Evidence, Verdict

# A run that has made nine tenths of the drop from the loss without knowledge has a usable rate; no trial is made.
_SETTLED = 0.1
# The loss of three updates by that of constant predictions: above this it is no noise of batches, and the weights were
# thrown away.
_BURST, _SMOOTHED = 1.7, 3
# Of the trial's drop. A short trial that beats a whole run by this on both splits was seen of no healthy run.
_LEAD, _SURE_LEAD = 0.2, 0.6
_INFINITE = 1e9  # told of losses that are not finite
_CONSTANT = 1e-3  # deviation of outputs over samples, by what it was at the start
_BACK = 0.35  # share of updates whose smoothed loss rises, by its whole range: a healthy curve has far less
_TENTHS = tuple(10.0**power for power in range(1, 7))
_LOWEST, _DECADES = 1e-7, 14  # no usual optimizer needs a rate below; a rate above a million has a way to go there
_HIGHEST_LOW_RATIO = 1e-3  # usual change of a weight in an update; a rate is only too low below it


def rate_too_high(case: Case) -> Iterator[Verdict]:
    """A run that learned little or burst, where a lower rate reaches more in a few updates than the whole run."""
    rate = case.facts.number("optim.lr")
    if rate is None or not _looks_high(case):
        return
    run = reached_by_run(case)
    best = lower_rate(case, run)
    evidence = _signs_of_high(case, run)
    if best is None or best.lead < _LEAD or not evidence:
        return
    is_sure = best.lead >= _SURE_LEAD
    yield Verdict(
        "rate_too_high",
        "error" if is_sure else "warning",
        f"The learning rate {rate:g} is too high; {best.words[0].partition('=')[2]} reaches more.",
        (*evidence, trial_evidence(best, _LEAD)),
        "The updates are larger than the region in which the gradient is valid, so they throw away what was learned.",
        best.words,
        confidence=0.9 if is_sure else 0.8,
        source="the loss of single updates, and trials with lower rates",
    )


def rate_too_low(case: Case) -> Iterator[Verdict]:
    """A run that has made a small part of what ten times the rate makes in fewer updates."""
    rate, trace = case.facts.number("optim.lr"), case.first
    if rate is None or trace is None or trace.failed_at is not None or not trace.ratios:
        return
    base, run = without_knowledge(case), reached_by_run(case)
    if not run.train > _SETTLED * base.train or _burst(case) > _BURST:
        return
    run = run if case.history is not None else _projected(case, base, run)
    ratio = median(trace.ratios.values())
    best = best_attempt(case, (rate_word(rate * factor) for factor in _higher(case, run, ratio)), run)
    lasting = _lasting(case, run)
    best = lasting or best
    if best is None or best.lead < _LEAD:
        return
    is_sure = best.lead >= 2 * _LEAD and ratio < _HIGHEST_LOW_RATIO
    what = f"The learning rate {rate:g} is too low; {best.words[0].partition('=')[2]} reaches more in fewer updates."
    if lasting is not None:
        what = f"The schedule lowers the learning rate {rate:g} too soon; {best.words[0]} reaches more."
    yield Verdict(
        "rate_too_low",
        "warning" if is_sure else "note",
        what,
        (
            Evidence(
                "change of a weight in an update, share of its norm, median of the layers",
                ratio,
                _HIGHEST_LOW_RATIO if ratio < _HIGHEST_LOW_RATIO else None,
                "below",
            ),
            trial_evidence(best, _LEAD),
        ),
        "Each update moves the weights so little that the loss has not come down when training ends.",
        best.words,
        confidence=min(0.9, 0.3 + 0.5 * best.lead) if is_sure else 0.4,
        source="update-to-weight ratios, and trials with higher rates",
    )


def _lasting(case: Case, run: Reached) -> Attempt | None:
    """A schedule that lasts, where that of the run is spent and this alone leads.

    A higher rate only puts off the end of such a schedule; a trial that is shorter than the run does not see that.
    """
    words = other_schedule(case)
    if case.history is None or not words or rate_left(case.history.of("lr")) >= SPENT:
        return None
    made = attempt(case, words, run)
    return made if made.lead >= _LEAD else None


def rate_word(rate: float) -> tuple[str, ...]:
    """The word that sets a learning rate, the same for all rules, so that they share its trial."""
    return (f"optim.lr={rate:.3g}",)


def lower_rate(case: Case, run: Reached, start: Start = "initial") -> Attempt | None:
    """The best trial with a lower rate, None if none leads the run or there is no rate.

    Rates are lowered by 10 for as long as the losses get clearly lower. Of two that reach about as much in a trial that
    is shorter than the run, the lower one is taken: it has more of the run to learn in, and is further from the cliff.
    """
    rate = case.facts.number("optim.lr")
    if rate is None:
        return None
    is_short = case.first is not None and 2 * len(case.first.losses) <= case.facts.updates
    words = (rate_word(rate / factor) for factor in _lower(case, run, start))
    return best_attempt(case, words, run, start, prefers_later=is_short)


def _lower(case: Case, run: Reached, start: Start) -> Iterator[float]:
    """Divisors in turn, for as long as the rates below make sense: one led, or was still too high."""
    rate = case.facts.number("optim.lr") or 0.0
    for number in range(1, _DECADES + 1):
        factor = 10.0**number
        if number > len(_TENTHS) and rate / factor < _LOWEST:
            return
        yield factor
        made = attempt(case, rate_word(rate / factor), run, start)
        is_wild = _burst_in(case, rate_word(rate / factor), start)
        learns_less = isfinite(made.reached.train) and made.reached.train >= run.train
        if not is_wild and (learns_less or (number > 1 and made.lead <= 0 and _burst(case) <= _BURST)):
            return


def _higher(case: Case, run: Reached, ratio: float) -> Iterator[float]:
    """Factors in turn, for as long as the first leads; a thousand where updates are far too small for that."""
    rate = case.facts.number("optim.lr") or 0.0
    yield _TENTHS[0]
    if attempt(case, rate_word(rate * _TENTHS[0]), run).lead > 0:
        yield from _TENTHS[1:]
    elif ratio < _HIGHEST_LOW_RATIO / 100:
        yield from _TENTHS[2:]


def _burst_in(case: Case, words: Sequence[str], start: Start) -> bool:
    trace = case.twin(*words, start=start).trace
    begun = 0.0 if case.start is None else case.start.train.metrics.get("loss", 0.0)
    return trace is None or _peak(trace) > _BURST * max(without_knowledge(case).train, begun)  # a bad start is no burst


def _looks_high(case: Case) -> bool:
    trace = case.first
    if _burst(case) > _BURST:
        return True
    base = without_knowledge(case)
    if case.history is not None and case.end is not None:
        return not reached_by_run(case).train < _SETTLED * base.train
    return trace is not None and bool(trace.losses) and median(trace.losses[-10:]) > 0.5 * base.train


def _burst(case: Case) -> float:
    """The largest loss of three updates or an epoch by `without_knowledge`; infinite if one was not finite."""
    base = without_knowledge(case).train
    losses = [] if case.history is None else [v for v in case.history.of("train/loss") if v == v]
    peaks = [_peak(trace) for trace in (case.first,) if trace is not None]
    start = () if case.start is None else [case.start.train.metrics.get("loss", inf)]
    highest = max([*losses, *peaks], default=0.0)
    own_start = max(start, default=0.0)
    if not isfinite(base) or highest <= _BURST * own_start:  # a bad start is no burst
        return 0.0
    return highest / base if base > 0 else 0.0


def _peak(trace: Trace) -> float:
    if trace.failed_at is not None:
        return inf
    ends = range(_SMOOTHED, len(trace.losses) + 1)
    return max((sum(trace.losses[end - _SMOOTHED : end]) / _SMOOTHED for end in ends), default=0.0)


def _signs_of_high(case: Case, run: Reached) -> tuple[Evidence, ...]:
    found, base, burst = [], without_knowledge(case), _burst(case)
    if burst > _BURST:
        what = f"largest training loss of three updates or an epoch, divided by {base_name(case)}"
        found.append(Evidence(what, min(burst, _INFINITE), _BURST))
    if isfinite(run.train) and isfinite(base.train) and base.train > 0 and run.train > 0.5 * base.train:
        share = run.train / base.train
        found.append(Evidence(f"training loss at the end, divided by {base_name(case)}", share, 0.5))
    if case.start is not None and case.end is not None and case.start.train.spread > 0:
        spread = case.end.train.spread / case.start.train.spread
        if spread < _CONSTANT:
            what = "deviation of the outputs over the samples, by that at the start"
            found.append(Evidence(what, spread, _CONSTANT, "below"))
    back = _rising(case.first)
    if back > _BACK:
        found.append(Evidence("rises of the smoothed loss of the first updates, by its range", back, _BACK))
    return tuple(found)


def _rising(trace: Trace | None) -> float:
    """The sum of the rises of the loss, smoothed over a tenth of the updates, by its range: 0 if it falls all along."""
    if trace is None or len(trace.losses) < 20:
        return 0.0
    size = len(trace.losses) // 10
    means = [sum(trace.losses[i : i + size]) / size for i in range(0, len(trace.losses) - size + 1, size)]
    span = max(means) - min(means)
    rises = sum(max(0.0, after - before) for before, after in pairwise(means))
    return rises / span if span > 0 else 0.0


def _projected(case: Case, base: Reached, run: Reached) -> Reached:
    """What a run would reach if it went on in a straight line to its end, for one that has not been trained."""
    made = max(1, len(case.first.losses) if case.first is not None else 1)
    times = max(1.0, case.facts.updates / made)

    def at_the_end(start: float, now: float) -> float:
        return start - (start - now) * times if now < start else now

    return replace(run, train=at_the_end(base.train, run.train), val=at_the_end(base.val, run.val))


RULES = (rate_too_high, rate_too_low)
