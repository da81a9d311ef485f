"""Parameters that are not trained: frozen, cut off from the loss, or never called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlexp.diagnosis.case import Case, NetworkMeasure, ParameterMeasure
from dlexp.diagnosis.changes import UNFROZEN
from dlexp.diagnosis.rules.network.counterfactuals import Option, Proof, best_proof
from dlexp.diagnosis.verdict import Evidence, Verdict

_BETTER = 0.9  # of the training loss of the run after as many updates: what training these parameters must gain
_MUCH_BETTER = 0.7  # for parameters that were frozen on purpose
_SHARE = 0.01  # of all elements: less is a detail, such as a scale that a network does not use
_LISTED = 3  # names in a message


def frozen_parameters(case: Case) -> Iterator[Verdict]:
    """Parameters without a gradient that nothing asks to be frozen, or whose freezing costs much of the loss."""
    now = case.now
    if now is None:
        return
    frozen = [one for one in now.parameters if one.is_frozen]
    own = [one for one in frozen if not one.is_asked]
    still = _never_moved(case)
    if own:
        yield _frozen_verdict(case, now, own, best_proof(case, (Option(change=UNFROZEN),), _BETTER))
    elif still:
        yield _still_verdict(now, still)
    asked = [one for one in frozen if one.is_asked]
    if asked:
        proof = best_proof(case, _thawed(case), _MUCH_BETTER)
        if proof is not None:
            yield _asked_verdict(case, now, asked, proof)


def _frozen_verdict(case: Case, now: NetworkMeasure, own: Sequence[ParameterMeasure], proof: Proof | None) -> Verdict:
    share = _share(own, now)
    return Verdict(
        "frozen_parameters",
        "note" if proof is None else "error" if share > 0.5 else "warning",
        f"{_names(own)} {_are(own)} not trained, and nothing in the run asks for that.",
        (
            Evidence("elements of parameters that are frozen, share of all", share, _SHARE),
            *_moved_evidence(own),
            *(() if proof is None else (proof.evidence(_BETTER),)),
        ),
        "The network sets requires_grad=False for them, or was built under no_grad().",
        action="Leave requires_grad as it is in the network; to freeze parameters, set trainer.freeze.",
        confidence=0.5 if proof is None else 0.9,
        layer=own[0].name,
        source="parameters without a gradient",
    )


def _still_verdict(now: NetworkMeasure, still: Sequence[ParameterMeasure]) -> Verdict:
    return Verdict(
        "frozen_parameters",
        "warning",
        f"{_names(still)} {_have(still)} a gradient and never moved.",
        (
            Evidence("elements of parameters that did not move, share of all", _share(still, now), _SHARE),
            Evidence("their largest gradient, root mean square", max(one.gradient or 0.0 for one in still), 0.0),
            *_moved_evidence(still),
        ),
        "No optimizer updates them, or at a rate of 0 (optim.groups).",
        action="Give them to the optimizer: look at optim.groups, and at what the network does to them in forward().",
        confidence=0.8,
        layer=still[0].name,
        source="change of each parameter since the start",
    )


def _asked_verdict(case: Case, now: NetworkMeasure, asked: Sequence[ParameterMeasure], proof: Proof) -> Verdict:
    is_tuned = _is_pretrained(case)
    return Verdict(
        "frozen_parameters",
        "note" if is_tuned else "warning",
        f"{_names(asked)} {_are(asked)} frozen by the run, and training them lowers the loss by {1 - proof.ratio:.0%}.",
        (
            Evidence("elements of parameters that are frozen, share of all", _share(asked, now), _SHARE),
            *_moved_evidence(asked),
            proof.evidence(_MUCH_BETTER),
        ),
        "Frozen layers keep the weights of the pretraining, which were not made for these data."
        if is_tuned
        else "The frozen layers keep their random initial weights.",
        proof.option.words,
        confidence=0.85,
        layer=asked[0].name,
        source="a trial without freezing",
    )


def _thawed(case: Case) -> Iterator[Option]:
    words = tuple(
        word
        for key, word in (
            ("trainer.freeze", "trainer.freeze=[]"),
            ("trainer.freeze_layers", "trainer.freeze_layers=null"),
        )
        if case.facts.settings.get(key)
    )
    if words:
        yield Option(words)


def _is_pretrained(case: Case) -> bool:
    return bool(case.facts.settings.get("init_from") or case.facts.settings.get("model.pretrained"))


def _never_moved(case: Case) -> list[ParameterMeasure]:
    """Weights with a gradient that are what they were at the start, where others moved."""
    end = case.end
    if end is None:
        return []
    learned = [one for one in end.parameters if not one.is_frozen and one.moved is not None and one.gradient]
    if not any(one.moved for one in learned):
        return []
    first = {} if case.start is None else {one.name: one.gradient for one in case.start.parameters}
    still = [one for one in learned if one.moved == 0 and first.get(one.name, one.gradient)]
    return still if _share(still, end) >= _SHARE else []


def unused_parameters(case: Case) -> Iterator[Verdict]:
    """Parameters that the loss does not depend on, in training nor in evaluation mode."""
    now = case.now
    if now is None:
        return
    unused = [one for one in now.parameters if not one.is_used and not one.is_frozen]
    if case.start is not None:  # what the first weights do not depend on either
        first = {one.name for one in case.start.parameters if not one.is_used}
        unused = [one for one in unused if one.name in first]
    if not unused:
        return
    share = _share(unused, now)
    called = _is_called(now, unused)
    yield Verdict(
        "unused_parameters",
        "note" if share < _SHARE else "error" if share > 0.5 else "warning",
        f"The loss does not depend on {_names(unused)}: {len(unused)} of {len(now.parameters)} tensors are untrained.",
        (
            Evidence("elements of parameters without any gradient, share of all", share, _SHARE),
            Evidence("layers of theirs that forward() calls", called),
            *_moved_evidence(unused),
        ),
        "Their layers are called, and the gradient is cut behind them: by detach(), no_grad(), argmax, or NumPy."
        if called
        else "Their layers are registered in the network, and forward() never calls them.",
        action="Let the gradient pass behind these layers."
        if called
        else "Call these layers in forward(), or remove them.",
        confidence=0.95 if share >= _SHARE else 0.5,
        layer=unused[0].name.rpartition(".")[0],
        source="parameters without a gradient in any batch, in both modes",
    )


def _is_called(now: NetworkMeasure, unused: Sequence[ParameterMeasure]) -> int:
    """How many layers that have these parameters are called."""
    owners = {one.name.rpartition(".")[0] for one in unused}
    return len([layer for layer in now.layers if {layer.name, f"model.{layer.name}"} & owners])


def _moved_evidence(some: Sequence[ParameterMeasure]) -> tuple[Evidence, ...]:
    moved = [one.moved for one in some if one.moved is not None]
    if not moved:
        return ()
    return (Evidence("their largest change since the start, share of the norm", max(moved)),)


def _share(some: Sequence[ParameterMeasure], now: NetworkMeasure) -> float:
    return sum(one.elements for one in some) / max(1, sum(one.elements for one in now.parameters))


def _names(some: Sequence[ParameterMeasure]) -> str:
    names = [one.name.removeprefix("model.") for one in some]
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _are(some: Sequence[ParameterMeasure]) -> str:
    return "is" if len(some) == 1 else "are"


def _have(some: Sequence[ParameterMeasure]) -> str:
    return "has" if len(some) == 1 else "have"


RULES = (frozen_parameters, unused_parameters)
