"""Outputs that do not fit the loss: at the start, in their range, or by an activation too many."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isfinite

import numpy as np
import torch

from dlexp.diagnosis.case import Case, NetworkMeasure
from dlexp.diagnosis.changes import BARE, rescaled
from dlexp.diagnosis.layer_measures import ActivationMeasure
from dlexp.diagnosis.rules.network.counterfactuals import Option, Proof, best_proof, other_values
from dlexp.diagnosis.verdict import Evidence, Verdict
from dlexp.types import as_tensor

# Of the loss of the best constant outputs, measured: networks as published start at 1.0 to 1.5 times that of classes,
# and at 1 to 3.5 times that of values, whose outputs have variance 1 with Kaiming's weights.
_START_OF_CLASSES, _START_OF_VALUES = 2.0, 5.0
_LEAST_EXCESS = 1.0  # of a loss: two classes have a constant loss of 0.69, of which twice is not much
_WASTED = 3  # updates until the loss is below that of constant outputs; after a usual start it is so at once
_NEAR_ZERO = 2.0  # the largest output of usual initial weights; smaller ones cannot start much lower
_SHRUNK = 0.1  # factor of the weights of the output layer in a trial
_BETTER = 0.9  # of the training loss of the run after as many updates
_ALL = 0.99  # of the samples
_TAKES_SCORES = 0.1  # of a loss: what certain probabilities cost at least, if the loss takes logits
_UNREACHED = 0.01  # of the targets
_MANY = 0.2  # of the targets
_LOOKED_AT = 10_000  # targets
_RANGES = {
    "relu": (0.0, inf), "relu6": (0.0, 6.0), "softplus": (0.0, inf), "exp": (0.0, inf), "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "tanh": (-1.0, 1.0), "hardtanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0), "logsigmoid": (-inf, 0.0), "log_softmax": (-inf, 0.0), "silu": (-0.28, inf),
    "gelu": (-0.17, inf), "mish": (-0.31, inf), "hardswish": (-0.375, inf), "elu": (-1.0, inf), "selu": (-1.76, inf),
}  # fmt: skip
_BOUNDED = ("sigmoid", "hardsigmoid", "tanh", "hardtanh", "softsign")


def bad_initial_loss(case: Case) -> Iterator[Verdict]:
    """A first loss far above that of the best constant outputs, and updates that are spent on coming down to it."""
    start, constant = case.start, case.constant_loss
    if start is None or constant is None or constant <= 0:
        return
    first = start.train.metrics.get("loss", float("nan"))
    limit = max((_START_OF_VALUES if case.classes is None else _START_OF_CLASSES) * constant, constant + _LEAST_EXCESS)
    if not isfinite(first) or first <= limit or max(-start.train.lowest, start.train.highest) < _NEAR_ZERO:
        return
    wasted = _updates_above(case, constant)
    proof = best_proof(case, _smaller_outputs(case, start), _BETTER)
    later = (
        ()
        if wasted is None
        else (Evidence("updates until the loss is below that of constant outputs", wasted, _WASTED),)
    )
    is_shown = proof is not None or (wasted is not None and wasted >= _WASTED)
    remedy = () if proof is None else proof.option.words
    yield Verdict(
        "bad_initial_loss",
        "warning" if is_shown else "note",
        f"The loss starts at {first:.4g}, where the best equal outputs for all samples have {constant:.4g}.",
        (
            Evidence("training loss before the first update", first, limit),
            Evidence("training loss of the best constant outputs", constant),
            *later,
            *(() if proof is None else (proof.evidence(_BETTER),)),
        ),
        "The outputs are far from the targets before anything is learned: weights of the last layer are too large.",
        remedy,
        ""
        if remedy
        else f"Start the weights of {_last_layer(start) or 'the output layer'} smaller, and its biases at 0.",
        confidence=0.55 + (0.2 if proof is not None else 0.0) + min(0.2, 0.02 * first / limit),
        layer=_last_layer(start),
        source="loss at step 0 against that of chance",
    )


def _updates_above(case: Case, constant: float) -> int | None:
    """Updates until the mean of five losses is below a number; None if it is unknown."""
    if case.first is None or not case.first.losses:
        return None
    losses = np.asarray(case.first.losses, dtype=np.float64)
    means = np.convolve(losses, np.ones(5) / 5, mode="valid") if len(losses) >= 5 else losses
    below = np.flatnonzero(means < constant)
    return int(below[0]) if len(below) else len(losses)


def _smaller_outputs(case: Case, start: NetworkMeasure) -> Iterator[Option]:
    words = other_values(case, "model.init", ("auto",))
    yield from words
    layer = _last_layer(start)
    if layer and not words:
        yield Option(change=rescaled({layer: _SHRUNK}))


def _last_layer(network: NetworkMeasure) -> str:
    """The last layer with a weight that is called, "" if there is none."""
    names = {one.name.removeprefix("model.") for one in network.parameters} | {one.name for one in network.parameters}
    return next((one.name for one in reversed(network.layers) if f"{one.name}.weight" in names), "")


def double_softmax(case: Case) -> Iterator[Verdict]:
    """Outputs that are probabilities, before a loss that takes logits and makes probabilities of them."""
    now, ideal = case.now, case.ideal
    if now is None or ideal is None or case.classes is None:
        return
    end = _end(now)
    name = "" if end is None else end.function
    takes_scores = 0 <= ideal.scores < ideal.probabilities - _TAKES_SCORES
    if name == "log_softmax" and ideal.scores >= 0:
        yield Verdict(
            "double_softmax",
            "note",
            "The network ends with log_softmax, and the loss takes it again, which changes nothing.",
            (Evidence("loss of certain logits", ideal.scores),),
            "The loss takes logits.",
            action="Leave log_softmax out of the network.",
            confidence=0.3,
            layer=end.place if end is not None else "",
        )
        return
    is_softmax = name == "softmax" or (name not in _BOUNDED and now.train.sums_to_one >= _ALL)
    if not takes_scores or not is_softmax:
        return
    made = name or "something that sums to 1"
    yield from _range_verdict(
        case, "double_softmax", f"The network ends with {made}, and the loss makes probabilities of its outputs again.",
        Evidence("share of samples whose outputs sum to 1", now.train.sums_to_one, _ALL),
        ideal.probabilities, f"Leave {made} out of the network: the loss takes logits.",
        confidence=0.97,
    )  # fmt: skip


def loss_output_mismatch(case: Case) -> Iterator[Verdict]:
    """Outputs that cannot be what the loss asks for."""
    now = case.now
    if now is None:
        return
    end = _end(now)
    if case.values is not None:
        yield from _values_out_of_reach(case, now, end)
    elif case.ideal is not None and case.classes is not None:
        takes_scores = 0 <= case.ideal.scores < case.ideal.bounded
        if end is not None and end.function in _BOUNDED and takes_scores:
            bound = case.ideal.probabilities if _RANGES[end.function][0] == 0 else case.ideal.bounded
            low, high = _RANGES[end.function]
            yield from _range_verdict(
                case, "loss_output_mismatch",
                f"The network ends with {end.function}, in [{low:g}, {high:g}], and the loss takes logits.",
                Evidence("largest output", now.train.highest),
                bound, f"Leave {end.function} out of the network.", confidence=0.95,
            )  # fmt: skip
        elif case.ideal.scores < -1 and (end is None or end.function != "log_softmax"):
            yield _unbounded(case, now)


def _unbounded(case: Case, now: NetworkMeasure) -> Verdict:
    ideal = case.ideal
    scores, chances = (ideal.scores, ideal.probabilities) if ideal is not None else (0.0, 0.0)
    return Verdict(
        "loss_output_mismatch",
        "error",
        "The loss has no lower bound for these outputs: it falls by making them larger, whatever the network learns.",
        (
            Evidence("loss of outputs of 30 for the right class", scores, 0.0, "below"),
            Evidence("loss of outputs of 1 for the right class", chances),
            Evidence("largest output of the network", now.train.highest),
        ),
        "The loss takes log-probabilities, and the network puts out scores.",
        () if case.facts.options.get("loss") == "cross_entropy" else ("loss=cross_entropy",),
        confidence=0.9,
    )


def _range_verdict(
    case: Case, code: str, what: str, found: Evidence, bound: float, action: str, *, confidence: float
) -> Iterator[Verdict]:
    """A verdict on outputs of classes whose range holds the loss up, with the trial without the last activation."""
    now = case.now
    loss = now.train.metrics.get("loss", inf) if now is not None else inf
    proof = best_proof(case, (Option(change=BARE),), _BETTER)
    yield Verdict(
        "double_softmax" if code == "double_softmax" else "loss_output_mismatch",
        "error" if proof is not None else "warning",
        what,
        (
            found,
            Evidence("smallest loss that such outputs can have", bound, _TAKES_SCORES),
            Evidence("training loss", loss),
            *(() if proof is None else (proof.evidence(_BETTER),)),
        ),
        "Outputs in so small a range cannot say that a class is certain, and their gradients are small.",
        action=action,
        confidence=confidence if proof is not None else 0.7,
        layer=_place(case),
        source="the loss of perfect outputs in this range",
    )


def _values_out_of_reach(case: Case, now: NetworkMeasure, end: ActivationMeasure | None) -> Iterator[Verdict]:
    low, high = _RANGES.get(end.function, (-inf, inf)) if end is not None else (-inf, inf)
    if end is None and case.start is not None and case.end is not None:
        both = (case.start.train, case.end.train)
        low = 0.0 if all(one.lowest >= 0 for one in both) else -inf
    unreached = _out_of_reach(case, low, high)
    if unreached < _UNREACHED:
        return
    proof: Proof | None = None if end is None else best_proof(case, (Option(change=BARE),), _BETTER)
    shown = f"ends with {end.function}" if end is not None else "puts out nothing below 0"
    evidence = (
        Evidence(f"training targets outside [{low:g}, {high:g}], as the loss sees them, share", unreached, _UNREACHED),
        Evidence("smallest output", now.train.lowest),
        Evidence("largest output", now.train.highest),
        *(() if proof is None else (proof.evidence(_BETTER),)),
    )
    yield Verdict(
        "loss_output_mismatch",
        "error"
        if unreached > _MANY and proof is not None
        else "warning"
        if unreached > _MANY or end is None
        else "note",
        f"The network {shown}, and {unreached:.0%} of the targets cannot be reached.",
        evidence,
        "The loss compares the outputs with targets in standard deviations from their mean, half of which are below 0."
        if case.facts.loss != "Poisson"
        else "The outputs are logarithms of rates in units of the mean, half of which are below 0.",
        action=f"Leave {end.function if end is not None else 'what removes the sign'} out of the end of the network.",
        confidence=0.95 if proof is not None else 0.6,
        layer=_place(case),
        source="range of the outputs against that of the targets",
    )


def _out_of_reach(case: Case, low: float, high: float) -> float:
    """Share of the training targets that lie outside a range, in the numbers that the loss compares outputs with."""
    values = case.values
    if values is None or (low == -inf and high == inf):
        return 0.0
    column = case.bundle.splits["train"].targets
    if column is None:
        return 0.0
    places = torch.linspace(0, len(column) - 1, min(len(column), _LOOKED_AT)).round().long()
    (found,) = column.read([places])
    targets = as_tensor(found).double().reshape(len(places), -1).cpu()
    mean, std = torch.tensor(values.mean).double(), torch.tensor(values.std).double()
    scaled = (targets / mean).clamp_min(1e-9).log() if case.facts.loss == "Poisson" else (targets - mean) / std
    margin = 0.05  # of a standard deviation, within which a bound costs little
    return float(((scaled < low - margin) | (scaled > high + margin)).double().mean())


def _end(network: NetworkMeasure) -> ActivationMeasure | None:
    return next((one for one in network.activations if one.is_end), None)


def _place(case: Case) -> str:
    end = None if case.now is None else _end(case.now)
    return "" if end is None else end.place


RULES = (bad_initial_loss, double_softmax, loss_output_mismatch)
