"""Units that learn nothing: dead ones, and saturated ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlexp.diagnosis.case import Case, NetworkMeasure, Outcome
from dlexp.diagnosis.changes import LEAKY, rescaled, unbiased
from dlexp.diagnosis.layer_measures import ActivationMeasure
from dlexp.diagnosis.rules.network.counterfactuals import Option, Proof, best_proof, other_values, slower
from dlexp.diagnosis.rules.network.revival import revivals
from dlexp.diagnosis.verdict import Evidence, Verdict
from dlexp.findings import Severity

# Of the units of a layer, measured: healthy rectifier networks end with 0 to 10 %, wide ones without normalization that
# are trained to a loss of 0 with up to 20 %.
_SOME, _DEAD = 0.25, 0.5
_NEARLY_ALL = 0.9
_FEW = 2  # units: one dead unit of three is no fault of a network
# Of the outputs of a layer: tanh units of healthy networks end below 20 %.
_SATURATED = 0.4
_BETTER = 0.9  # of the training loss of the run after as many updates
_NO_BETTER = 0.95  # of the loss of constant outputs: a network above it has learned nothing of its inputs
_USUAL_INPUT = 1.0  # mean absolute input of an activation that neither saturates nor is linear


def dead_units(case: Case) -> Iterator[Verdict]:
    """Units without a slope for every sample, and a trial in which they have one and the loss is lower."""
    now = case.now
    worst = _worst_dead(now)
    if now is None or worst is None or worst.dead_share < _SOME or worst.dead < _FEW:
        return
    before = _same_place(case.start, worst)
    died = before is not None and case.end is not None and before.dead_share < worst.dead_share / 2
    proof = None
    if worst.dead_share >= _DEAD:  # words are better than a change of the code, even if they save less
        words = revivals(case, died=died)
        proof = best_proof(case, words, _BETTER) or best_proof(case, _changes(case, worst, words, died=died), _BETTER)
    found = Evidence(f"dead units of {worst.place}, share of {worst.units}", worst.dead_share, _SOME)
    first = () if before is None else (Evidence(f"dead units of {worst.place} before training", before.dead_share),)
    if proof is None:
        stuck = _learned_nothing(case, now)
        severity: Severity = "warning" if stuck else "note"
        yield _dead_verdict(worst, severity, (found, *first, *stuck), died=died)
        return
    later = _worst_dead(proof.after)
    trial = (
        proof.evidence(_BETTER),
        Evidence("dead units with it, largest share of a layer", later.dead_share if later else 0.0, is_trial=True),
    )
    severity = "error" if worst.dead_share >= _NEARLY_ALL else "warning"
    yield _dead_verdict(worst, severity, (found, *first, *trial), died=died, proof=proof)


def _learned_nothing(case: Case, now: NetworkMeasure) -> tuple[Evidence, ...]:
    """A loss after training that constant outputs have too; () for others."""
    loss, constant = now.train.metrics.get("loss"), case.constant_loss
    if case.end is None or loss is None or not constant or loss < _NO_BETTER * constant:
        return ()
    return (Evidence("training loss by that of the best constant outputs", loss / constant, _NO_BETTER),)


def _dead_verdict(
    worst: ActivationMeasure,
    severity: Severity,
    evidence: tuple[Evidence, ...],
    *,
    died: bool,
    proof: Proof | None = None,
) -> Verdict:
    remedy = () if proof is None else proof.option.words
    cause = (
        "Large updates moved their inputs to where the activation is flat for all samples: no gradient moves them back."
        if died
        else "Their inputs are on the flat side of the activation for all samples from the start: they get no gradient."
    )
    action = f"Start the biases of {worst.after or 'the layer before'} at 0, or use a leaky rectifier in the network."
    return Verdict(
        "dead_units",
        severity,
        f"{worst.dead} of {worst.units} units of {worst.place} are dead: they are the same for every sample.",
        evidence,
        cause,
        remedy,
        "" if remedy else action,
        confidence=_confidence(worst, proof, died=died),
        layer=worst.place,
        source="units without a derivative over several batches",
    )


def _confidence(worst: ActivationMeasure, proof: Proof | None, *, died: bool) -> float:
    """Units that die by large updates follow from the rate, so that they come behind it."""
    if proof is None:
        return 0.5 if worst.dead_share >= _NEARLY_ALL else 0.4
    return min(0.75 if died else 0.95, 0.6 + 0.35 * worst.dead_share)


def _changes(case: Case, worst: ActivationMeasure, words: Sequence[Option], *, died: bool) -> Iterator[Option]:
    """Changes of the code that may keep units alive, for networks without words that do."""
    layers = tuple(
        one.after for one in (case.start.activations if case.start else ()) if one.after and one.silent_share >= _DEAD
    )
    if layers and not died:
        yield Option(change=unbiased(layers))
    is_given = any(word.startswith("model.") for option in words for word in option.words)
    if not is_given and worst.function == "relu":
        yield Option(change=LEAKY)


def _worst_dead(network: Outcome | None) -> ActivationMeasure | None:
    places = () if network is None else network.activations
    return max((one for one in places if one.units and not one.is_end), key=lambda one: one.dead_share, default=None)


def saturated_units(case: Case) -> Iterator[Verdict]:
    """Sigmoid and tanh units at the ends of their range, and a trial without that has a lower loss."""
    now = case.now
    places = () if now is None else now.activations
    hidden = [one for one in places if one.saturated is not None and not one.is_gate and not one.is_end]
    sick = [one for one in hidden if (one.saturated or 0.0) >= _SATURATED and one.units >= _FEW]
    if not sick:
        return
    worst = max(sick, key=lambda one: one.saturated or 0.0)
    before = _same_place(case.start, worst)
    proof = best_proof(case, _without_saturation(case, sick), _BETTER)
    found = (
        Evidence(f"outputs of {worst.place} at an end of {worst.function}, share", worst.saturated or 0.0, _SATURATED),
        Evidence(f"mean absolute input of {worst.place}", worst.input_size),
    )
    first = () if before is None else (Evidence("the same share before training", before.saturated or 0.0),)
    remedy = () if proof is None else proof.option.words
    yield Verdict(
        "saturated_units",
        "note" if proof is None else "warning",
        f"The units of {worst.place} are saturated: {worst.function} is flat where most of their inputs are.",
        (*found, *first, *(() if proof is None else (proof.evidence(_BETTER),))),
        "The inputs of the activation are too large, by large weights or inputs: little of the gradient passes.",
        remedy,
        ""
        if remedy
        else f"Start the weights of {worst.after or 'the layer before'} smaller (Xavier), or normalize in front of it.",
        confidence=0.4 if proof is None else 0.6 + 0.35 * (worst.saturated or 0.0),
        layer=worst.place,
        source="share of outputs whose derivative is below a tenth of the largest",
    )


def _without_saturation(case: Case, sick: Sequence[ActivationMeasure]) -> Iterator[Option]:
    words = [
        *other_values(case, "model.init", ("auto",)),
        *(other_values(case, "model.norm", ("batch",)) if case.facts.settings.get("model.norm") == "none" else ()),
        *(
            other_values(case, "data.standardize", ("true",))
            if case.facts.settings.get("data.standardize") is False
            else ()
        ),
    ]
    yield from words
    start = {one.place: one for one in (case.start.activations if case.start else ())}
    factors = {
        one.after: _USUAL_INPUT / start[one.place].input_size
        for one in sick
        if one.after and one.place in start and start[one.place].input_size > _USUAL_INPUT
    }
    if factors and not words:
        yield Option(change=rescaled(factors))
    if not factors:
        yield from slower(case)


def _same_place(network: NetworkMeasure | None, place: ActivationMeasure) -> ActivationMeasure | None:
    places = () if network is None else network.activations
    return next((one for one in places if (one.place, one.after) == (place.place, place.after)), None)


RULES = (dead_units, saturated_units)
