"""Gradients that vanish or explode on their way through the layers, or in single updates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite, log10
from statistics import median

from dlexp.diagnosis.case import Case, NetworkMeasure, Trace
from dlexp.diagnosis.changes import levelled
from dlexp.diagnosis.rules.optimization.rates import lower_rate
from dlexp.diagnosis.rules.trials import (
    Attempt,
    Reached,
    attempt,
    base_name,
    changed_attempt,
    reached_by_run,
    trial_evidence,
    without_knowledge,
)
from dlexp.diagnosis.verdict import Evidence, Fault, Verdict

_LEAST_LAYERS = 4  # a slope of fewer says nothing
# Decades a layer. A sigmoid loses 0.6 and more with any usual initialization; healthy networks stay within 0.1.
_SLOPE = 0.25
_DECADES = 2.0  # from the first to the last layers in all
_SMALLEST = 1e-14  # a gradient that rounds to 0
_GROWTH = 3.0  # decades that the deviation of the outputs of layers grows from the first to the last
_SPIKE = 30.0  # largest norm of a gradient by the median one; with batches of equal size about 3 are usual
_OF_UPDATES = "largest norm of a gradient"
_SETTLED = 0.1
_LEAD, _SURE_LEAD = 0.2, 0.6
_SATURATING = ("sigmoid", "tanh", "step", "softmax", "log_softmax", "softplus", "relu6")


def vanishing_gradients(case: Case) -> Iterator[Verdict]:
    """Gradients that shrink by a quarter of a decade a layer towards the input, in a network that learns little."""
    if case.start is None or case.first is None or case.facts.phases > 1:  # of several losses, depth is no order
        return
    evidence = _signs_of_vanishing(case)
    if not evidence:
        return
    run = reached_by_run(case)
    if run.train < _SETTLED * without_knowledge(case).train:
        return
    best = _best(case, [*_other_layers(case), ("optim=adamw",)], run)
    yield from _verdict(
        case,
        "vanishing_gradients",
        "The gradient vanishes on its way to the first layers.",
        evidence,
        "Every layer multiplies the gradient by a number below 1; the first layers do not learn.",
        _or_levelled(case, best, run),
        "Use an activation that does not saturate, a normalization of each layer, or connections around layers.",
    )


def exploding_gradients(case: Case) -> Iterator[Verdict]:
    """Gradients or outputs that grow from layer to layer, or norms far above the usual one in single updates."""
    if case.start is None or case.first is None or case.facts.phases > 1:  # of several losses, depth is no order
        return
    evidence = _signs_of_explosion(case)
    if not evidence:
        return
    run = reached_by_run(case)
    if run.train < _SETTLED * without_knowledge(case).train:
        return
    clip = [] if case.facts.number("trainer.clip_norm") is not None else [("trainer.clip_norm=1",)]
    best = _best(case, [*clip, *_other_layers(case)], run)
    slower = None if best is None else lower_rate(case, run)
    if best is not None and slower is not None and slower.loss < best.loss:
        return  # the rate is at fault, and said by its rule
    if best is None and all(one.measure.startswith(_OF_UPDATES) for one in evidence):
        return  # single large gradients that nothing here mends are a matter of the rate
    yield from _verdict(
        case,
        "exploding_gradients",
        "The gradient explodes.",
        evidence,
        "Layers or steps multiply the gradient by more than 1 each, so that single updates throw the weights away.",
        _or_levelled(case, best, run),
        "Make the initial weights smaller, or add a normalization of each layer.",
    )


def _verdict(
    case: Case,
    code: Fault,
    what: str,
    evidence: tuple[Evidence, ...],
    cause: str,
    best: Attempt | None,
    action: str,
) -> Iterator[Verdict]:
    base, run = without_knowledge(case), reached_by_run(case)
    learned = Evidence(
        f"training loss at the end, divided by {base_name(case)}", run.train / max(base.train, 1e-12), 0.5
    )
    is_bad = not run.train < 0.5 * base.train
    if best is not None and best.lead >= _LEAD:
        is_sure = best.lead >= _SURE_LEAD
        proof = trial_evidence(best, _LEAD)
        shown = (*evidence, proof, learned) if is_bad and isfinite(run.train) else (*evidence, proof)
        severity, confidence = ("error", 0.95) if is_sure else ("warning", 0.7)
        yield Verdict(
            code,
            "error" if severity == "error" else "warning",
            what,
            shown,
            cause,
            best.words,
            "" if best.words else action,
            confidence=confidence,
            source="gradients by depth, and a trial",
        )
    elif is_bad and isfinite(run.train):
        shown = (*evidence, learned)
        yield Verdict(
            code, "warning", what, shown, cause, (), action, confidence=0.6, source="gradients by depth, and the loss"
        )


def _other_layers(case: Case) -> list[tuple[str, ...]]:
    """Words for another activation, initialization or normalization that the model has."""
    settings = case.facts.settings
    activation = ("model.activation=relu",) if settings.get("model.activation") in _SATURATING else ()
    init = ("model.init=auto",) if settings.get("model.init", "auto") not in ("auto", "default", None) else ()
    norm = ("model.norm=batch",) if settings.get("model.norm") == "none" else ()
    found: list[tuple[str, ...]] = [words for words in (activation, init, norm) if words]
    return [*found, (*activation, *init, *norm)] if len(found) > 1 else found


def _best(case: Case, all_words: Sequence[tuple[str, ...]], run: Reached) -> Attempt | None:
    """The best trial; one that makes nine tenths of what there is to learn ends the search."""
    best: Attempt | None = None
    for words in all_words:
        made = attempt(case, words, run)
        if made.lead > 0 and (best is None or made.loss < best.loss):
            best = made
        if made.lead > 0 and made.reached.train < _SETTLED * without_knowledge(case).train:
            break
    return best


def _or_levelled(case: Case, best: Attempt | None, run: Reached) -> Attempt | None:
    """The trial with words if it leads; otherwise one whose inner layers multiply what passes by about 1."""
    if best is not None and best.lead >= _LEAD:
        return best
    assert case.start is not None
    weights = {p.name.removeprefix("model."): p for p in case.start.parameters if p.dimensions > 1 and not p.is_frozen}
    inner = [layer.name for layer in case.start.layers if f"{layer.name}.weight" in weights][1:-1]
    if len(inner) < _LEAST_LAYERS:
        return best
    slope, decades = _slope(_of_start(case.start))
    growth = _growth([layer.std for layer in case.start.layers]) / (len(inner) + 1)
    each = slope if abs(slope) > _SLOPE and abs(decades) > _DECADES else -growth
    made = changed_attempt(case, levelled(inner, 10.0 ** max(-2.0, min(2.0, each))), run)
    return made if made.lead >= _LEAD else best


def _steepness(case: Case) -> tuple[float, float]:
    """Decades a layer and in all by which gradients grow towards the output: the less steep of the start and later."""
    assert case.start is not None and case.first is not None
    found = [_slope(_of_start(case.start)), _slope(case.first.gradients)]
    return min(found, key=lambda one: abs(one[0])) if found[0][0] * found[1][0] > 0 else (0.0, 0.0)


def _of_start(start: NetworkMeasure) -> dict[str, float]:
    return {p.name: p.gradient for p in start.parameters if p.dimensions > 1 and p.gradient is not None}


def _slope(gradients: Mapping[str, float]) -> tuple[float, float]:
    """The slope of the logarithm of the gradient by depth, by least squares, and the difference of both ends."""
    values = [log10(max(value, _SMALLEST)) for value in gradients.values() if isfinite(value)]
    count = len(values)
    if count < _LEAST_LAYERS or max(values) <= log10(_SMALLEST):
        return 0.0, 0.0
    middle, mean = (count - 1) / 2, sum(values) / count
    spread = sum((i - middle) ** 2 for i in range(count))
    quarter = max(1, count // 4)
    decades = median(values[-quarter:]) - median(values[:quarter])
    return sum((i - middle) * (v - mean) for i, v in enumerate(values)) / spread, decades


def _signs_of_vanishing(case: Case) -> tuple[Evidence, ...]:
    """Gradients that shrink towards the input, or outputs that shrink towards the output, which shrinks all of them."""
    assert case.start is not None
    slope, decades = _steepness(case)
    if slope > _SLOPE and decades > _DECADES:
        return (
            Evidence("growth of the gradient towards the output, decades a layer", slope, _SLOPE),
            Evidence("growth of the gradient from the first to the last layers, decades", decades, _DECADES),
        )
    growth = _growth([layer.std for layer in case.start.layers][:-1])  # heads may begin at 0 on purpose
    if growth < -_GROWTH:
        what = "growth of the outputs from the first layer to the last hidden one, decades"
        return (Evidence(what, growth, -_GROWTH, "below"),)
    return ()


def _growth(deviations: Sequence[float]) -> float:
    """Decades from the first to the last; 0 for too few layers, and for one without any deviation."""
    if len(deviations) < _LEAST_LAYERS or not (deviations[0] > 0 and deviations[-1] > 0):
        return 0.0
    return log10(deviations[-1] / deviations[0])


def _signs_of_explosion(case: Case) -> tuple[Evidence, ...]:
    assert case.start is not None and case.first is not None
    found: list[Evidence] = []
    slope, decades = _steepness(case)
    if slope < -_SLOPE and decades < -_DECADES:
        found.append(Evidence("growth of the gradient towards the input, decades a layer", -slope, _SLOPE))
    growth = _growth([layer.std for layer in case.start.layers])
    if growth > _GROWTH:
        found.append(Evidence("growth of the outputs from the first layer to the last, decades", growth, _GROWTH))
    spike = _spike(case.first, 2 * without_knowledge(case).train)
    if spike > _SPIKE:
        found.append(Evidence(f"{_OF_UPDATES} by the median one, first updates", spike, _SPIKE))
    return tuple(found)


def _spike(trace: Trace, limit: float) -> float:
    """The largest norm by the median one, of updates whose loss is usual: where it is not, the weights are at fault."""
    norms = [
        norm
        for norm, loss in zip(trace.gradient_norms, trace.losses, strict=False)
        if isfinite(norm) and not loss > limit
    ]
    usual = median(norms) if norms else 0.0
    return max(norms) / usual if usual > 0 else 0.0


RULES = (vanishing_gradients, exploding_gradients)
