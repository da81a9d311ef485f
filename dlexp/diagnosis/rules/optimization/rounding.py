"""Weights of so few digits that updates are rounded away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dlexp.diagnosis.case import Case, ParameterMeasure
from dlexp.diagnosis.changes import IN_FP32
from dlexp.diagnosis.rules.optimization.rates import rate_word
from dlexp.diagnosis.rules.trials import Attempt, Reached, attempt, lead, reached_by, reached_by_run, trial_evidence
from dlexp.diagnosis.verdict import Evidence, Verdict
from dlexp.text.quoting import value

_DIGITS = 24  # of fp32
_LOST = 0.25  # of the elements with a gradient; in fp32 it is none, up to a few of a rate that is far too low
_LEAD = 0.05  # of a trial with weights of 32 bits, by its drop
_GRAVE = 0.5
_AS_GOOD = 0.02  # of the drop of that trial, which words may miss
_WIDE = {
    "bfloat16": "float32",
    "float16": "float32",
    "torch.bfloat16": "torch.float32",
    "torch.float16": "torch.float32",
    "bf16": "fp32",
    "fp16": "fp32",
    "half": "float32",
}


def rounded_updates(case: Case) -> Iterator[Verdict]:
    """Weights with 8 or 11 binary digits, updates smaller than their last one, and a trial with 24 that learns more."""
    trace = case.first or case.last
    coarse = [] if case.now is None else [p for p in case.now.parameters if p.digits < _DIGITS and not p.is_frozen]
    if trace is None or not coarse:
        return
    lost = _share_lost(coarse, trace.rounded_away)
    if lost < _LOST:
        return
    run = _own(case)
    wide = reached_by(case.twin(change=IN_FP32))
    gain = lead(case, wide, run)
    if gain < _LEAD:
        return
    best = _mended(case, run, gain)
    worst = max(coarse, key=lambda one: trace.rounded_away.get(one.name, 0.0))
    evidence = [
        Evidence(f"binary digits of {worst.name}", worst.digits, _DIGITS, "below"),
        Evidence("elements of such weights that have a gradient and do not change, share", lost, _LOST),
        Evidence(
            "training and validation loss with weights of 32 bits: share of their drop that the run does not reach",
            gain,
            _LEAD,
            is_trial=True,
        ),
    ]
    if best is not None:
        evidence.append(trial_evidence(best, 0.0))
    yield Verdict(
        "low_precision",
        "error" if gain >= _GRAVE else "warning",
        f"{lost:.0%} of the changes of weights with {worst.digits} binary digits are rounded away.",
        tuple(evidence),
        "A change below half of the last digit of a weight leaves it as it is, however often it is made.",
        () if best is None else best.words,
        action="Keep the weights in fp32 (no .bfloat16() or .half() of a network); trainer.precision=bf16 computes in "
        "16 bits with weights of 32.",
        confidence=0.95,
        layer=worst.name,
        source="weights before and after single updates, and a trial with weights of 32 bits",
    )


def _share_lost(coarse: Sequence[ParameterMeasure], rounded_away: Mapping[str, float]) -> float:
    known = [one for one in coarse if one.name in rounded_away]
    elements = sum(one.elements for one in known)
    return sum(rounded_away[one.name] * one.elements for one in known) / elements if elements else 0.0


def _own(case: Case) -> Reached:
    """What the run reached after as many updates as a trial makes."""
    run = reached_by_run(case)
    is_whole = case.first is not None and len(case.first.losses) >= case.facts.updates
    return run if is_whole else attempt(case, (), run).reached


def _mended(case: Case, run: Reached, gain: float) -> Attempt | None:
    """Words for wider weights where the network has a key for them; else a higher rate that learns as much."""
    tried = [
        (f"{key}={value(_WIDE[str(content)])}",)
        for key, content in case.facts.settings.items()
        if key.startswith("model.") and str(content) in _WIDE
    ]
    rate = case.facts.number("optim.lr")
    rates = () if rate is None else (rate_word(rate * 10), rate_word(rate * 3))
    for words in (*tried, *rates):
        made = attempt(case, words, run)
        if made.lead >= max(_LEAD, gain - _AS_GOOD):
            return made
    return None


RULES = (rounded_updates,)
