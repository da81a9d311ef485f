"""Batch normalization whose statistics are not those of the data."""

from __future__ import annotations

from collections.abc import Iterator

from dlexp.diagnosis.case import Case, ModeLosses
from dlexp.diagnosis.rules.network.counterfactuals import Option, best_proof, other_values
from dlexp.diagnosis.verdict import Evidence, Verdict

_SMALL = 8  # samples: mean and variance of fewer are mostly noise
_APART = 1.1  # the loss in one mode by that in the other: equal batches of usual size stay within 5 %
_BETTER = 0.9  # of the training loss of the run after as many updates
_STALE = 1.5  # evaluation loss by that with fresh statistics
_SETTLED = 100  # updates after which running means with a momentum of 0.1 have forgotten the start
_USUAL_BATCH = 32


def batch_norm_small_batch(case: Case) -> Iterator[Verdict]:
    """Statistics of a few samples, or running ones that lag behind, and the loss that they cost."""
    now = case.now
    if now is None or not now.losses.batch_norms:
        return
    losses = now.losses
    if case.facts.batch_size < _SMALL:
        yield from _small(case, losses)
    elif losses.smallest_batch <= 2:
        yield Verdict(
            "batch_norm_small_batch",
            "note",
            f"Batch normalization takes the variance of {losses.smallest_batch} samples in the last batch of an epoch.",
            (Evidence("samples of the smallest batch", losses.smallest_batch, _SMALL, "below"),),
            "The training split is no multiple of the batch size.",
            confidence=0.3,
        )
    freezes = any(one.is_asked for one in now.parameters)  # which keeps statistics as they were, on purpose
    if case.end is not None and not freezes and _updates(case) >= _SETTLED:
        yield from _stale(case, case.end.losses)


def _small(case: Case, losses: ModeLosses) -> Iterator[Verdict]:
    apart = losses.batch_statistics / losses.evaluation if losses.evaluation > 0 else 1.0
    proof = best_proof(case, _larger(case), _BETTER)
    evidence = (
        Evidence("samples of a batch", case.facts.batch_size, _SMALL, "below"),
        Evidence("loss with statistics of a batch, by that with running ones", apart, _APART),
    )
    differs = max(apart, 1 / apart if apart > 0 else 1.0) >= _APART
    remedy = () if proof is None else proof.option.words
    yield Verdict(
        "batch_norm_small_batch",
        "warning" if proof is not None and differs else "note",
        f"Batch normalization takes mean and variance of {case.facts.batch_size} samples.",
        (*evidence, *(() if proof is None else (proof.evidence(_BETTER),))),
        "Statistics of so few samples are noise, and differ from the running ones that evaluation uses.",
        remedy,
        "" if remedy else "Use larger batches, or normalization of each sample (layer or group) in the network.",
        confidence=0.85 if proof is not None and differs else 0.4,
        source="loss of the same samples in both modes",
    )


def _larger(case: Case) -> Iterator[Option]:
    yield from other_values(case, "data.batch_size", (str(_USUAL_BATCH),))
    if case.facts.settings.get("model.norm") == "batch":
        yield from other_values(case, "model.norm", ("group", "layer"))


def _stale(case: Case, losses: ModeLosses) -> Iterator[Verdict]:
    if not losses.refreshed > 0 or losses.evaluation / losses.refreshed < _STALE:
        return
    if losses.evaluation <= _STALE * losses.batch_statistics:
        return
    yield Verdict(
        "batch_norm_small_batch",
        "warning",
        "The running statistics of batch normalization are not those of the data: evaluation is worse than training.",
        (
            Evidence("loss in evaluation by that with fresh statistics", losses.evaluation / losses.refreshed, _STALE),
            Evidence(
                "loss in evaluation by that with statistics of a batch",
                losses.evaluation / losses.batch_statistics,
                _STALE,
            ),
        ),
        "They lag behind the weights: their momentum is small, or their layers are never in training mode.",
        action="Raise the momentum of the batch normalization, and look for eval() in the network.",
        confidence=0.85,
        source="loss of the same samples with three sets of statistics",
    )


def _updates(case: Case) -> int:
    return case.history.epochs * case.facts.updates_per_epoch if case.history is not None else 0


RULES = (batch_norm_small_batch,)
