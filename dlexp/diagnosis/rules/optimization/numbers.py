"""Numbers that are not finite, and number formats with too few digits."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from dlexp.diagnosis.case import Case, Start, Trace
from dlexp.diagnosis.rules.optimization.rates import lower_rate
from dlexp.diagnosis.rules.trials import Attempt, Reached, attempt, reached_by_run, trial_evidence
from dlexp.diagnosis.verdict import Evidence, Verdict

_LEAD = 0.05  # of a trial in fp32, by its drop
_DIGITS = {"bf16": 8, "fp16": 11}
_SKIPPED = 0.05  # share of updates that the fp16 scaler may skip: it does so a few times at the start
_PLACES = {"weight": "the weight", "layer": "the output of layer", "gradient": "the gradient of", "data": "the"}


def not_finite_update(case: Case) -> Iterator[Verdict]:
    """A loss, gradient or weight that is NaN or infinite, where it came from, and a trial without."""
    start, trace = _failed(case)
    history = case.history
    column = () if history is None else [v for v in history.of("train/loss") if not isfinite(v)]
    bad = 0 if case.now is None else sum(p.not_finite for p in case.now.parameters)
    if trace is None and not column and not bad and (history is None or history.ending != "not finite"):
        return
    evidence = _where(case, trace, len(column), bad)
    if trace is not None and trace.failed_in == "data":
        yield _of_data(trace, evidence)
        return
    best = None if trace is None else _mended(case, start)
    if best is not None:
        evidence = (*evidence, trial_evidence(best, 0.0))
    place = "" if trace is None or not trace.failed_in else f" {_place(trace)} is not finite first."
    yield Verdict(
        "not_finite",
        "error",
        f"Training comes to numbers that are not finite.{place}",
        evidence,
        _cause(trace, best),
        () if best is None else best.words,
        action="" if best is not None else _action(trace),
        confidence=0.95 if trace is not None else 0.8,
        layer="" if trace is None else trace.failed_name,
        source="the first update that failed, made again",
    )


def low_precision(case: Case) -> Iterator[Verdict]:
    """16 bits a number, where 32 reach more, or where the scaler of fp16 skips updates."""
    precision = case.facts.settings.get("trainer.precision")
    if precision not in _DIGITS or case.first is None:
        return
    skipped, run = _skipped(case), reached_by_run(case)
    same = run if _is_whole(case) else attempt(case, (), run).reached
    made = attempt(case, ("trainer.precision=fp32",), same)
    if made.lead < _LEAD and skipped < _SKIPPED:
        return
    limit = _SKIPPED if skipped >= _SKIPPED else None
    evidence: tuple[Evidence, ...] = (Evidence("updates that are skipped, share", skipped, limit),)
    is_clear = made.lead >= _LEAD
    if is_clear:
        bits = Evidence("binary digits of a number", _DIGITS[precision], 24, "below")
        evidence = (bits, *evidence, trial_evidence(made, _LEAD))
    yield Verdict(
        "low_precision",
        "warning" if is_clear else "note",
        f"In {precision} the loss is higher than in fp32." if is_clear else f"In {precision} updates are skipped.",
        evidence,
        "Numbers of 16 bits have 8 or 11 binary digits: gradients overflow, or small changes of a weight are lost.",
        ("trainer.precision=fp32",),
        confidence=0.85 if is_clear else 0.4,
        source="a trial in fp32",
    )


def _failed(case: Case) -> tuple[Start, Trace | None]:
    """The trace that failed, and the weights that it started with."""
    if case.first is not None and case.first.failed_at is not None:
        return "initial", case.first
    if case.last is not None and case.last.failed_at is not None:
        return "stored", case.last
    return "initial", None


def _where(case: Case, trace: Trace | None, epochs: int, bad: int) -> tuple[Evidence, ...]:
    found = []
    if case.history is not None and case.history.failed_at is not None:
        found.append(Evidence("update of the run that was not finite", case.history.failed_at))
    if trace is not None and trace.failed_at is not None:
        found.append(Evidence("updates made again before one was not finite", trace.failed_at))
        norms = [norm for norm in trace.gradient_norms if isfinite(norm)]
        if norms:
            found.append(Evidence("largest norm of a gradient before it", max(norms)))
    if epochs:
        found.append(Evidence("epochs whose training loss is not finite", epochs, 0))
    if bad or not found:
        found.append(Evidence("elements of weights and gradients that are not finite", bad, 0))
    return tuple(found)


def _of_data(trace: Trace, evidence: tuple[Evidence, ...]) -> Verdict:
    return Verdict(
        "not_finite",
        "error",
        f"The data have {trace.failed_name} that are NaN or infinite.",
        evidence,
        "A single such number makes every weight NaN.",
        action=f"Look at these rows, and fill or drop what is missing: {trace.failure}.",
        confidence=0.98,
        layer="",
        source="the batch of the update that failed",
    )


def _mended(case: Case, start: Start) -> Attempt | None:
    """The best trial that stays finite and learns."""
    nothing = Reached(float("inf"), float("inf"))
    tried: list[Attempt | None] = []
    if case.facts.settings.get("trainer.precision") == "fp16":
        tried.append(attempt(case, ("trainer.precision=fp32",), nothing, start))
    tried.append(lower_rate(case, nothing, start))
    if case.facts.number("trainer.clip_norm") is None and case.facts.number("trainer.gradient_norm") is None:
        tried.append(attempt(case, ("trainer.clip_norm=1",), nothing, start))
    good = [one for one in tried if one is not None and one.lead > 0]
    return min(good, key=lambda one: one.loss, default=None)


def _place(trace: Trace) -> str:
    text = f"{_PLACES.get(trace.failed_in, '')} {trace.failed_name}".strip() or "the loss"
    return text[:1].upper() + text[1:]


def _cause(trace: Trace | None, best: Attempt | None) -> str:
    if best is not None and best.words[0].startswith("optim.lr"):
        return "The updates are so large that the weights grow without bound."
    if best is not None and best.words[0].startswith("trainer.clip_norm"):
        return "Single gradients are so large that one update throws the weights away."
    if best is not None:
        return "fp16 holds no number above 65504; larger activations or gradients are infinite."
    if trace is not None and trace.failed_in == "loss":
        return "The outputs are finite, and the loss of them is not: it takes the logarithm of 0, or divides by 0."
    return "A layer, a loss or an update leaves the range of its numbers."


def _action(trace: Trace | None) -> str:
    name = trace.failed_name if trace is not None and trace.failed_name else "the loss"
    return f"Look at {name}: log(0), a division by 0, the root of 0, exp of a large number. Add a small constant there."


def _skipped(case: Case) -> float:
    traces = [trace for trace in (case.first, case.last) if trace is not None and trace.gradient_norms]
    shares = [sum(not isfinite(v) for v in t.gradient_norms) / len(t.gradient_norms) for t in traces]
    return max(shares, default=0.0)


def _is_whole(case: Case) -> bool:
    """Whether a trial is as long as the run."""
    return case.first is not None and len(case.first.losses) >= case.facts.updates


RULES = (not_finite_update, low_precision)
