"""What trials say, in numbers that rules compare."""

from __future__ import annotations

from math import inf, isfinite

from dlexp.diagnosis.case import Case, Start


def loss_with(case: Case, *words: str, start: Start = "initial", split: str = "train") -> float:
    """The loss over samples of a split after the updates of a trial; infinite if it failed or is not finite."""
    twin = case.twin(*words, start=start)
    if twin.after is None or twin.trace is None or twin.trace.failed_at is not None:
        return inf
    loss = getattr(twin.after, split).metrics.get("loss", inf)
    return loss if isfinite(loss) else inf
