"""Learning rates, and what makes training diverge."""

from __future__ import annotations

from collections.abc import Iterator

from dlexp.diagnosis.case import Case
from dlexp.diagnosis.rules.trials import loss_with
from dlexp.diagnosis.verdict import Evidence, Verdict

_LARGE_STEP = 3e-2  # of a weight in one update; 1e-3 is usual
_BETTER = 0.9  # of the loss of the run itself


def rate_too_high(case: Case) -> Iterator[Verdict]:
    """Updates that move the weights by several percent, and a loss that is lower with a tenth of the rate."""
    rate = case.facts.number("optim.lr")
    trace = case.first
    if rate is None or trace is None or not trace.ratios:
        return
    name, ratio = max(trace.ratios.items(), key=lambda item: item[1])
    own, slower = loss_with(case), loss_with(case, f"optim.lr={rate / 10:.3g}")
    if ratio > _LARGE_STEP and slower < _BETTER * own:
        yield Verdict(
            "rate_too_high",
            "error",
            f"The learning rate {rate:g} is too high.",
            (
                Evidence(f"change of {name} in an update, share of its norm", ratio, _LARGE_STEP),
                Evidence(
                    "training loss with a tenth of the rate, by that of the run",
                    slower / own,
                    _BETTER,
                    "below",
                    is_trial=True,
                ),
            ),
            "The updates are larger than the region in which the gradient is valid.",
            (f"optim.lr={rate / 10:.3g}",),
            confidence=0.8,
            source="update-to-weight ratios",
        )


RULES = (rate_too_high,)
