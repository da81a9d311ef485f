"""Classes that a network never predicts: all but a few, or the rare ones.

Symbols: C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite, log, sqrt

from dlexp.diagnosis.case import Case, OutputMeasure
from dlexp.diagnosis.rules.fit.gains import compared, network_after, reached, shortfall
from dlexp.diagnosis.verdict import Evidence, Verdict

_COLLAPSED = 0.4  # entropy of the predicted classes by that of the given ones
_NEVER, _SELDOM = 0.02, 0.01  # recall of a class that is missed, share of predictions of a class that is one of them
_MANY_MISSED, _FEW_MISSED = 0.5, 0.11  # shares of the classes
_FREQUENT = 0.6  # share of the samples
_LEARNED_LITTLE = 0.5  # training loss by that of the best constant answer

_RARE = 0.5  # share of a class by that of equally frequent classes
_MISSED = 0.5  # recall of the rare classes
_FOUND = 0.1  # by which balanced accuracy rises in a trial


def class_collapse(case: Case) -> Iterator[Verdict]:
    """A trained network that answers with few of the classes, and has learned little else of them either.

    Where one class is far more frequent than the others, always to answer with it may be the best there is: then a
    trial must show otherwise.
    """
    end = reached(case)
    if end is None or not end.train.predicted_shares:
        return
    missed, share, learned = _missed(end.train), _variety(end.train), shortfall(case, end.train)
    if learned < _LEARNED_LITTLE or (missed < _MANY_MISSED and share > _COLLAPSED):
        return
    mended = _mended(case)
    if mended is None and max(end.train.class_shares) > _FREQUENT:
        return
    evidence = [
        compared("share of the classes with a recall of 0", missed, _MANY_MISSED),
        compared("entropy of the predicted classes by that of the given ones", share, _COLLAPSED, "below"),
        Evidence("training loss by that of the best constant answer", learned, _LEARNED_LITTLE),
    ]
    if mended is not None:
        evidence.append(
            Evidence(
                "share of such classes after a trial with the remedy", mended[1], _FEW_MISSED, "below", is_trial=True
            )
        )
    classes = sum(1 for one in end.train.predicted_shares if one >= _SELDOM)
    yield Verdict(
        "class_collapse",
        "error" if mended else "warning",
        f"The network predicts {classes} of {len(end.train.class_shares)} classes.",
        tuple(evidence),
        "Its answers hardly depend on the inputs.",
        () if mended is None else mended[0],
        action="" if mended else "Mend the findings before it; if there are none, look at the last layer and the loss.",
        confidence=_confidence(mended),
        source="recalls, and the entropy of the predictions",
    )


def class_imbalance(case: Case) -> Iterator[Verdict]:
    """Rare classes that are not recognized, and are with equal influence of all classes."""
    end = reached(case)
    if end is None or not end.train.class_shares or case.facts.settings.get("data.balance") not in (None, "none"):
        return
    shares = end.train.class_shares
    present = [i for i, share in enumerate(shares) if share > 0]
    rare = [i for i in present if shares[i] * len(present) < _RARE]
    if not rare or len(present) < 2:
        return
    recall = min(_mean_recall(end.train, rare), _mean_recall(end.val, rare))
    common = _mean_recall(end.train, [i for i in present if i not in rare])
    if not recall < min(_MISSED, common):
        return
    best = _balanced(case, end.val)
    if best is None:
        return
    words, before, after = best
    least = shares[min(rare, key=lambda i: shares[i])]
    yield Verdict(
        "class_imbalance",
        "error" if recall == 0 else "warning",
        f"Rare classes are missed: the rarest makes up {least:.2g} of the training samples.",
        (
            Evidence(
                "share of the rarest class by that of equally frequent ones", least * len(present), _RARE, "below"
            ),
            Evidence("mean recall of the rare classes", recall, _MISSED, "below"),
            Evidence(
                "rise of the balanced accuracy of validation in a trial with the remedy",
                after - before,
                _FOUND,
                is_trial=True,
            ),
        ),
        "A network that hardly ever predicts them has a low loss already.",
        words,
        confidence=0.9,
        source="recalls of the classes",
    )


def _confidence(mended: tuple[tuple[str, ...], float] | None) -> float:
    """Where a rate mends it, the rate is the fault, and said by its rule if that finds it."""
    if mended is None:
        return 0.4
    return 0.45 if mended[0][0].startswith("optim.lr") else 0.9


def _mended(case: Case) -> tuple[tuple[str, ...], float] | None:
    """The words after which hardly a class is missed, and the share of those that are."""
    words: list[tuple[str, ...]] = []
    if case.facts.settings.get("loss.class_weights") is not None:
        words.append(("loss.class_weights=null",))
    if (rate := case.facts.number("optim.lr")) is not None:
        words += [(f"optim.lr={rate / 10:.3g}",), (f"optim.lr={rate / 100:.3g}",), (f"optim.lr={rate * 10:.3g}",)]
    for one in words:
        after = network_after(case, *one)
        if after is not None and (missed := _missed(after.train)) < _FEW_MISSED:
            return one, missed
    return None


def _missed(measure: OutputMeasure) -> float:
    known = [recall for recall in measure.recalls if isfinite(recall)]
    return sum(recall < _NEVER for recall in known) / len(known) if known else 0.0


def _variety(measure: OutputMeasure) -> float:
    given = _entropy(measure.class_shares)
    return _entropy(measure.predicted_shares) / given if given > 0 else 1.0


def _balanced(case: Case, own: OutputMeasure) -> tuple[tuple[str, ...], float, float] | None:
    """The words that raise balanced accuracy most, and its values before and after; None if none does for sure."""
    before = _mean_recall(own, range(len(own.recalls)))
    tried = []
    for words in (("data.balance=weights",), ("data.balance=sampling",)):
        after = network_after(case, *words)
        if after is not None:
            tried.append((_mean_recall(after.val, range(len(own.recalls))), words, after.val))
    if not tried:
        return None
    value, words, measure = max(tried, key=lambda one: one[0])
    noise = _recall_noise(measure)
    return (words, before, value) if value - before >= max(_FOUND, noise) else None


def _mean_recall(measure: OutputMeasure, numbers: Sequence[int]) -> float:
    known = [measure.recalls[i] for i in numbers if i < len(measure.recalls) and isfinite(measure.recalls[i])]
    return sum(known) / len(known) if known else 1.0


def _recall_noise(measure: OutputMeasure) -> float:
    """The standard error of the mean recall, from the number of samples of each class."""
    pairs = [(r, s * measure.samples) for r, s in zip(measure.recalls, measure.class_shares, strict=True) if s > 0]
    return sqrt(sum((r * (1 - r) + 0.25 / n) / n for r, n in pairs)) / len(pairs) if pairs else 0.0


def _entropy(shares: Sequence[float]) -> float:
    return sum(-share * log(share) for share in shares if share > 0)  # 0 and not -0 for a single class


RULES = (class_collapse, class_imbalance)
