"""Labels: wrong ones, and such that have nothing to do with their samples."""

from __future__ import annotations

from collections.abc import Iterator

from dlexp.data.bundle import DataBundle
from dlexp.diagnosis.case import Case, OutputMeasure, RunSettings
from dlexp.diagnosis.data.label_measures import LabelMeasures, label_measures
from dlexp.diagnosis.data.labels import Contradictions
from dlexp.diagnosis.verdict import Evidence, Verdict
from dlexp.findings import counted
from dlexp.specs import TableSpec

# The share of wrong labels that clean data may seem to have: where a model is sure of three quarters of the samples;
# where classes overlap, with nearly all contradictions confirmed by near samples and without; where it is sure of few.
# Drawn tables of overlapping classes without a wrong label had lower limits up to 0.030, at most 0.88 confirmed.
_WRONG, _WRONG_IF_CONFIRMED, _WRONG_IF_OVERLAPPING, _WRONG_IF_UNSURE = 0.01, 0.025, 0.045, 0.1
_CLEAR, _SURE = 0.75, 0.2  # share of samples of which a model is sure
_NEARLY_ALL = 0.9  # of the contradicted labels
_LEAST = 0.02  # estimated share of wrong labels that is told
_CONFIRMED = 0.5  # share of the contradicted labels that near samples contradict too
_INFORMED, _EXPLAINED = 0.03, 0.02  # agreement beyond chance and variance explained, below which labels tell nothing
_BY_CHANCE = 0.05  # p-value from which agreement may be chance
_ENOUGH = 100  # samples from which labels can be said to tell nothing
_MOVED = 0.1  # gain of agreement by moving labels
_NOISE = "confident learning (Northcutt et al. 2021): labels against a model that has not seen them"
_NEAR = "labels of near samples against random orders"


def judge_labels(case: Case) -> Iterator[Verdict]:
    """Labels that contradict all samples that are alike, labels in the wrong rows, and labels that tell nothing."""
    found = label_measures(case.bundle, case.facts.seed)
    if found is None:
        return
    moved = list(misplaced_labels(found))
    yield from moved
    if not moved:
        now = case.now.val if case.end is not None and case.now is not None else None
        yield from uninformative_labels(found, case.bundle, now)
    yield from wrong_labels(found, case.facts)


def wrong_labels(found: LabelMeasures, facts: RunSettings) -> Iterator[Verdict]:
    """More labels contradict a model that is sure than in clean data, in several classes, and near samples agree."""
    seen = found.contradictions
    if facts.settings.get("data.suspected_labels") == "drop":
        return
    if seen is None or seen.rate < _LEAST or seen.confirmed < _CONFIRMED or seen.classes < 2:
        return
    limit = _usual(seen)
    if seen.low <= limit:
        return
    yield Verdict(
        "label_noise",
        "warning",
        f"About {seen.rate:.1%} of the labels are wrong ({seen.low:.1%} to {seen.high:.1%}): "
        f"{counted(len(seen.suspects), 'suspect')}.",
        (
            Evidence("share of wrong labels among samples of which a model is sure, lower limit", seen.low, limit),
            Evidence("share of wrong labels, estimate", seen.rate, _LEAST),
            Evidence("contradicted labels that the nearest samples contradict too, share", seen.confirmed, _CONFIRMED),
            Evidence("classes with contradicted labels", seen.classes, 1),
        ),
        "The labels contradict samples that are alike; a network learns them by heart.",
        ("data.suspected_labels=drop",),
        action="Look at the suspects, which dlexp doctor RUN lists in suspected_labels.csv, and correct their labels.",
        confidence=min(0.95, 0.6 + 5 * seen.low),
        source=_NOISE,
    )


def _usual(seen: Contradictions) -> float:
    """The share of wrong labels that clean data with classes as clear as these may seem to have."""
    if seen.sure >= _CLEAR * seen.samples:
        return _WRONG
    if seen.sure < _SURE * seen.samples:
        return _WRONG_IF_UNSURE
    return _WRONG_IF_CONFIRMED if seen.confirmed >= _NEARLY_ALL else _WRONG_IF_OVERLAPPING


def misplaced_labels(found: LabelMeasures) -> Iterator[Verdict]:
    """Labels agree with near samples only if they are moved by a row."""
    near = found.agreement
    gain = near.shifted_skill - near.skill
    if near.shift == 0 or near.shifted_p_value > 0.01 or gain < _MOVED or near.skill > near.shifted_skill / 2:
        return
    place = "after" if near.shift > 0 else "before"
    yield Verdict(
        "labels_shuffled",
        "error",
        f"The labels are in the wrong rows: the label of a sample is that of the row {place} it.",
        (
            Evidence(
                "agreement of near samples after moving the labels by a row", near.shifted, near.agreement + _MOVED
            ),
            Evidence("variance of the targets that a model explains in new samples, share", found.skill),
            Evidence("p-value of the agreement after moving", near.shifted_p_value, 0.01, "below"),
        ),
        "Inputs and labels were read or sorted apart from each other, so that each label has the sample of another.",
        action=f"Give each sample the label of the row {place} it in the source, and check how the two were joined.",
        confidence=0.95,
        source=_NEAR,
    )


def uninformative_labels(found: LabelMeasures, bundle: DataBundle, val: OutputMeasure | None) -> Iterator[Verdict]:
    """Labels of near samples agree as by chance, and a model explains nothing.

    Args:
        found: The measures.
        bundle: The data.
        val: Of the trained network on validation samples, None before training. If it predicts, labels tell something.
    """
    is_judged = found.classes > 0 or isinstance(bundle.spec.inputs, TableSpec)
    near = found.agreement
    is_informed = near.skill > _INFORMED and near.p_value <= _BY_CHANCE
    if not is_judged or found.samples < _ENOUGH or is_informed or found.skill > _EXPLAINED:
        return
    evidence = [
        Evidence("agreement of labels of near samples beyond chance, share", near.skill, _INFORMED, "below"),
        Evidence(
            "variance of the targets that a model explains in new samples, share", found.skill, _EXPLAINED, "below"
        ),
        Evidence("p-value of the agreement", near.p_value),
    ]
    accuracy = None if val is None else val.metrics.get("accuracy")
    if val is not None and accuracy is not None and val.class_shares:
        limit = max(val.class_shares) + 2 * (0.25 / max(val.samples, 1)) ** 0.5
        if accuracy > limit:
            return
        evidence.append(Evidence("validation accuracy of the network", accuracy, limit, "below"))
    yield Verdict(
        "labels_shuffled",
        "error" if accuracy is not None else "warning",
        "The labels have nothing to do with the inputs: samples that are alike have the same label as often as others.",
        tuple(evidence),
        "Labels were shuffled or joined with the wrong samples, or the inputs do not contain what decides the label.",
        action="Check how inputs and labels were joined.",
        confidence=0.9 if accuracy is not None else 0.7,
        source=_NEAR,
    )


RULES = (judge_labels,)
