"""Recurrent networks whose gradient does not reach what they should remember."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlexp.diagnosis.case import Case
from dlexp.diagnosis.rules.network.counterfactuals import Option, best_proof, other_values
from dlexp.diagnosis.rules.trials import loss_of
from dlexp.diagnosis.verdict import Evidence, Verdict

_REACHED = 0.5  # of the positions: a gradient that covers half of a sequence is no fault by itself
_BETTER = 0.9  # of the training loss of the run after as many updates
_NO_BETTER = 0.95  # of the loss of constant outputs: a network above it has learned nothing of its inputs
_LONGER = 3  # times the updates of a usual trial
_TRIED = 2  # words for which so long a trial is made


def fading_memory(case: Case) -> Iterator[Verdict]:
    """A gradient that fades within the sequences, and gates that carry it further or lower the loss."""
    start, now = case.start, case.now
    memory = None if now is None else now.memory
    if now is None or memory is None:
        return
    loss, constant = now.train.metrics.get("loss"), case.constant_loss
    is_stuck = case.end is not None and loss is not None and constant is not None and loss >= _NO_BETTER * constant
    if is_stuck and start is not None and start.memory is not None and start.memory.reach < memory.reach:
        memory = start.memory  # weights that have learned nothing say little of how far they reach
    if memory.reach >= _REACHED * memory.length:
        return
    options = _gated(case)
    proof = best_proof(case, options, _BETTER)
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
        remedy, learned = _longer(case, options, loss)
        more = (*more, *learned)
    gates = "" if _has_gates(case) else "gates (an LSTM or a GRU), "
    yield Verdict(
        "fading_memory",
        "warning" if proof is not None or (is_stuck and remedy) else "note",
        f"The gradient reaches {memory.reach} of {memory.length} positions: what lies further back is hardly learned.",
        (*found, *more),
        "Each step of the recurrence multiplies the gradient by less than 1.",
        remedy,
        "" if remedy else f"Use {gates}attention, or shorter sequences.",
        confidence=0.9 if proof is not None else 0.75 if is_stuck and remedy else 0.35,
        layer=memory.layer,
        source="gradient through time",
    )


def _has_gates(case: Case) -> bool:
    """Whether the recurrent network of the run is gated already, as an LSTM and a GRU are."""
    return str(case.facts.settings.get("model.cell") or case.facts.options.get("model", "")).endswith(("lstm", "gru"))


def _gated(case: Case) -> list[Option]:
    """Words that keep memory, those of the same cell last."""
    model, settings = case.facts.options.get("model", ""), case.facts.settings
    options = [Option((f"model={name}",)) for name in ("gru", "lstm") if model == "rnn"]
    options += [Option(("model=numpy_lstm",))] if model == "numpy_rnn" else []
    if model == "recurrent_cells" and settings.get("model.cell") == "rnn":
        options += other_values(case, "model.cell", ("gru", "lstm"))
    if "model.forget_bias" in settings:
        options += other_values(case, "model.forget_bias", ("1",))
    if "model.recurrent_init" in settings:
        options += other_values(case, "model.recurrent_init", ("orthogonal",))
    return options


def _longer(case: Case, options: Sequence[Option], loss: float) -> tuple[tuple[str, ...], tuple[Evidence, ...]]:
    """The first words that learn in a longer trial what the whole run has not; () if none do.

    Gates begin to remember only after some hundred updates.
    """
    watched = len(case.first.losses) if case.first is not None else 0
    updates = min(case.facts.updates, _LONGER * watched)
    for option in options[:_TRIED] if updates > watched else ():
        ratio = loss_of(case.twin(*option.words, updates=updates), "train") / loss
        if ratio < _BETTER:
            text = f"training loss {option.text} after {updates} updates, by that of the run at its end"
            return option.words, (Evidence(text, ratio, _BETTER, "below", is_trial=True),)
    return (), ()


RULES = (fading_memory,)
