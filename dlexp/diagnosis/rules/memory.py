"""Recurrent networks whose gradient does not reach what they should remember."""

from __future__ import annotations

from collections.abc import Iterator

from dlexp.diagnosis.case import Case
from dlexp.diagnosis.rules.counterfactuals import Option, best_of, loss_of, other_values, trained
from dlexp.diagnosis.verdict import Evidence, Verdict

_REACHED = 0.5  # of the positions: a gradient that covers half of a sequence is no fault by itself
_BETTER = 0.9  # of the training loss of the run after as many updates
_NO_BETTER = 0.95  # of the loss of constant outputs: a network above it has learned nothing of its inputs
_FURTHER = 1.5  # times the positions that are reached


def fading_memory(case: Case) -> Iterator[Verdict]:
    """A gradient that fades within the sequences, and gates that carry it further or lower the loss."""
    start, now = case.start, case.now
    memory = None if now is None else now.memory
    if now is None or memory is None or memory.reach >= _REACHED * memory.length:
        return
    loss, constant = now.train.metrics.get("loss"), case.constant_loss
    is_stuck = loss is not None and constant is not None and loss >= _NO_BETTER * constant
    options = _gated(case)
    proof = best_of(case, options, _BETTER)
    found = (
        Evidence("positions from the end that the gradient reaches", memory.reach, _REACHED * memory.length, "below"),
        Evidence("positions of the sequences", memory.length),
        *(
            ()
            if start is None or start.memory is None
            else (Evidence("positions reached before training", start.memory.reach),)
        ),
    )
    remedy = () if proof is None else proof.option.words
    more: tuple[Evidence, ...] = () if proof is None else (proof.evidence(_BETTER),)
    if proof is None and is_stuck and loss is not None and constant is not None:
        more = (Evidence("training loss by that of the best constant outputs", loss / constant, _NO_BETTER),)
        remedy, further = _further(case, options, memory.reach)
        more = (*more, *further)
    yield Verdict(
        "fading_memory",
        "warning" if proof is not None or (is_stuck and remedy) else "note",
        f"The gradient reaches {memory.reach} of {memory.length} positions: what lies further back is hardly learned.",
        (*found, *more),
        "Each step of the recurrence multiplies the gradient by less than 1.",
        remedy,
        "" if remedy else "Use gates (an LSTM or a GRU), attention, or shorter sequences.",
        confidence=0.9 if proof is not None else 0.75 if is_stuck and remedy else 0.35,
        layer=memory.layer,
        source="gradient through time",
    )


def _gated(case: Case) -> list[Option]:
    """Words that keep memory, those of the same cell last."""
    model, settings = case.facts.options.get("model", ""), case.facts.settings
    options = [Option((f"model={name}",)) for name in ("gru", "lstm") if model == "rnn"]
    if model == "recurrent_cells" and settings.get("model.cell") == "rnn":
        options += other_values(case, "model.cell", ("gru", "lstm"))
    if "model.forget_bias" in settings:
        options += other_values(case, "model.forget_bias", ("1",))
    if "model.recurrent_init" in settings:
        options += other_values(case, "model.recurrent_init", ("orthogonal",))
    return options


def _further(case: Case, options: list[Option], reach: int) -> tuple[tuple[str, ...], tuple[Evidence, ...]]:
    """The words whose trial begins with the gradient that reaches furthest, and is not worse; () if none does."""
    own, best = loss_of(case.twin(), "train"), (0, Option())
    for option in options:
        twin = trained(case, option)
        memory = None if twin.before is None else twin.before.memory
        if memory is not None and loss_of(twin, "train") <= own:
            best = max(best, (memory.reach, option), key=lambda pair: pair[0])
    if best[0] < _FURTHER * max(1, reach):
        return (), ()
    text = f"positions that the gradient reaches at the start {best[1].text}"
    return best[1].words, (Evidence(text, best[0], _FURTHER * reach, is_trial=True),)


RULES = (fading_memory,)
