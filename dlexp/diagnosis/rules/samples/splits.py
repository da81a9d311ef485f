"""Splits and columns: copies across splits, columns that give the target away, validation samples unlike training's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite

from dlexp.diagnosis.case import Case, RunSettings
from dlexp.diagnosis.data.class_balance import class_counts
from dlexp.diagnosis.data.column_scores import ColumnScores, column_scores
from dlexp.diagnosis.data.split_copies import SplitCopies, split_copies
from dlexp.diagnosis.data.split_distance import SplitDistance
from dlexp.diagnosis.data.split_measures import validation_distance
from dlexp.diagnosis.verdict import Evidence, Verdict
from dlexp.findings import listed_places
from dlexp.sequence_specs import TokenSpec
from dlexp.specs import ClassSpec, TableSpec, ValueSpec
from dlexp.text.quoting import value

_COPIES, _ROWS = 0.02, 0.05  # share of a held-out split; rows of tables and texts may be equal by chance
_MANY = 0.1  # share from which the metrics of the split are not valid
_FEWEST_COPIES = 3
_SAME = 0.9  # share of the copies with the same target
_GIVES_AWAY, _NEXT = 0.985, 0.25  # score of a column; its error by that of the next one
_APART, _BEYOND = 0.6, 0.1  # area under the curve that tells splits apart, and its excess over random divisions
_FAR = 0.3  # standard deviations between the means of a column
_BY_CHANCE = 1e-3  # of all classes together
_DIVIDING = ("data.split_column", "data.val_path", "data.time", "data.group")
_UNEQUAL = 0.15  # distance of the shares of classes


def judge_copies(case: Case) -> Iterator[Verdict]:
    """Samples of held-out splits that occur in training."""
    spec = case.bundle.spec.inputs
    limit = _ROWS if isinstance(spec, TableSpec | TokenSpec) else _COPIES
    found = split_copies(case.bundle, case.facts.seed)
    yield from copied_samples(found, limit, case.facts)


def copied_samples(found: Sequence[SplitCopies], limit: float, facts: RunSettings) -> Iterator[Verdict]:
    """More copies of training samples in a held-out split than `limit`, with the same targets."""
    bad = [
        one
        for one in found
        if one.share >= limit
        and one.copies + one.near >= _FEWEST_COPIES
        and not one.same_target < max(_SAME, one.by_chance)
    ]
    if not bad:
        return
    worst = max(bad, key=lambda one: one.share)
    evidence = [Evidence(f"samples of {one.split} that occur in training, share", one.share, limit) for one in bad]
    evidence.append(Evidence(f"equal samples in {worst.split}", worst.copies))
    if worst.near:
        evidence.append(Evidence(f"nearly equal images in {worst.split}", worst.near))
    has_targets = isfinite(worst.same_target)  # sentences and drawn sequences may be equal by nature
    if has_targets:
        evidence.append(Evidence("copies with the same target, share", worst.same_target, _SAME))
    pairs = listed_places([f"row {one} = row {other}" for one, other in worst.examples])
    has_group = "data.group" in facts.settings and facts.settings["data.group"] is None
    group = ", or set data.group to the column that tells which samples belong together" if has_group else ""
    yield Verdict(
        "duplicates_across_splits",
        "note" if not has_targets else "error" if worst.share >= _MANY else "warning",
        f"{worst.share:.1%} of the {worst.split} samples occur in training too, such as (train = {worst.split}) "
        f"{pairs}.",
        tuple(evidence),
        f"Metrics of the {worst.split} split are too good: the network has seen these samples with their targets.",
        action=f"Delete the copies before the data is split{group}.",
        confidence=0.95,
        source="equal samples; for images difference hashes and correlations of thumbnails",
    )


def judge_columns(case: Case) -> Iterator[Verdict]:
    """Columns that give the target away."""
    for found in column_scores(case.bundle, case.facts.seed):
        yield from leaking_columns(found, case.facts)


def leaking_columns(found: ColumnScores, facts: RunSettings) -> Iterator[Verdict]:
    """Columns that alone predict the target nearly perfectly, and far better than all others."""
    names = [name for name, score in found.scores.items() if score >= _GIVES_AWAY]
    others = [score for score in found.scores.values() if score < _GIVES_AWAY]
    if not names or not others:
        return
    best, following = found.scores[names[0]], max([*others, found.chance])
    worst = found.scores[names[-1]]
    ratio = (1 - worst) / (1 - following)
    if ratio > _NEXT:
        return
    declared = declared_columns(facts.settings)
    is_one = len(names) == 1
    yield Verdict(
        "leaking_feature",
        "warning",
        f"{'Column' if is_one else 'Columns'} {', '.join(names)} {'gives' if is_one else 'give'} {found.target} away: "
        f"alone {'it predicts' if is_one else 'each predicts'} it almost perfectly, far better than all others.",
        (
            Evidence(f"score of {names[0]} alone in new rows", best, _GIVES_AWAY),
            Evidence(f"error of {names[-1]} alone by that of the best other column", ratio, _NEXT, "below"),
            Evidence("score of the best other column", following),
        ),
        "The column was made from the target, or is known only after it, so that it is missing in real use.",
        () if declared is None else (f"data.columns={value({**declared, **dict.fromkeys(names, 'drop')})}",),
        action="Delete the column, unless it is known when predictions are made." if declared is None else "",
        confidence=0.85,
        source="nearest values of one column, on rows that were not used",
    )


def declared_columns(settings: Mapping[str, object]) -> dict[str, str] | None:
    """The present data.columns; None for a source without this key."""
    start = "data.columns."
    given = {key.removeprefix(start): str(kind) for key, kind in settings.items() if key.startswith(start)}
    return given if given or "data.columns" in settings else None


def judge_shift(case: Case) -> Iterator[Verdict]:
    """Validation samples that a model tells from training samples."""
    if case.facts.options.get("data") is not None and isinstance(case.bundle.spec.targets, ClassSpec | ValueSpec):
        found = validation_distance(case.bundle, case.facts.seed)
        if found is not None:
            yield from split_shift(found, case.facts)


def split_shift(found: SplitDistance, facts: RunSettings) -> Iterator[Verdict]:
    """A model tells the splits apart, better than random divisions, or their classes are not as frequent."""
    is_apart = found.low >= _APART and found.area >= found.random_area + _BEYOND
    limit = max(_UNEQUAL, 1.2 * found.random_class_distance)
    is_unequal = found.class_distance >= limit
    name, far = found.columns[0] if found.columns else ("", 0.0)
    evidence = [
        Evidence(
            f"area under the ROC curve of a model that tells {found.split} from training, lower limit",
            found.low,
            _APART,
        ),
        Evidence("area under the curve", found.area, found.random_area + _BEYOND),
    ]
    if is_unequal:
        evidence.append(Evidence(f"distance of the shares of classes in {found.split}", found.class_distance, limit))
    if abs(far) >= _FAR:
        evidence.append(Evidence(f"distance of the means of {name}, standard deviations", abs(far), _FAR))
    if not is_apart or len(evidence) < 3:
        return
    by = [key for key in ("data.time", "data.group") if facts.settings.get(key) not in (None, "")]
    own = [key for key in ("data.split_column", "data.val_path") if facts.settings.get(key) not in (None, "")]
    differing = ", ".join(f"{one} ({distance:+.2g} deviations)" for one, distance in found.columns[:3])
    yield Verdict(
        "split_shift",
        "note" if by else "warning",
        f"Validation samples are not like training samples: a model tells them apart. Most different: {differing}.",
        tuple(evidence),
        f"The splits are divided by {by[0]}." if by else "The splits were not drawn at random from the same samples.",
        tuple(f"{key}=null" for key in own) if not by else (),
        action="" if own and not by else "Draw the splits at random, unless new samples will differ in the same way.",
        confidence=min(0.95, 0.5 + found.low / 2),
        source="classifier two-sample test (Lopez-Paz & Oquab 2017)",
    )


def judge_absent_classes(case: Case) -> Iterator[Verdict]:
    """Classes of training that no validation sample has, though chance would have brought some."""
    targets = case.bundle.spec.targets
    if isinstance(targets, ClassSpec):
        counts = (class_counts(case.bundle, "train"), class_counts(case.bundle, "val"))
        yield from absent_classes(*counts, targets.names, case.facts)


def absent_classes(
    train: Sequence[int], val: Sequence[int], names: Sequence[str], facts: RunSettings
) -> Iterator[Verdict]:
    """A class without validation samples that a random split would hardly leave out.

    Args:
        train: Samples of each of the C classes in training: C.
        val: The same in validation: C.
        names: Of the classes: C.
        facts: The settings, which say what divides the splits.
    """
    absent = [number for number, count in enumerate(val) if not count and train[number]]
    if not absent or not sum(val):
        return
    most = max(absent, key=lambda number: train[number])
    share = train[most] / sum(train)
    chance = (1 - share) ** sum(val)
    if chance >= _BY_CHANCE / len(names):
        return
    by = [key for key in _DIVIDING if facts.settings.get(key) not in (None, "")]
    listed = listed_places([str(names[number]) for number in absent])
    yield Verdict(
        "split_shift",
        "warning",
        f"{'Class' if len(absent) == 1 else 'Classes'} {listed} {'has' if len(absent) == 1 else 'have'} no sample in "
        "validation.",
        (
            Evidence(f"samples of class {names[most]} in training", train[most], 0),
            Evidence("probability that random splits leave it out", chance, _BY_CHANCE / len(names), "below"),
        ),
        f"{f'{by[0]} divides the splits' if by else 'The splits were not drawn at random from the same samples'}: no "
        "metric of validation says how well such a class is known.",
        tuple(f"{key}=null" for key in by if key == "data.split_column"),
        action=""
        if "data.split_column" in by
        else "Move samples of each class to validation, or draw the splits at random.",
        confidence=0.9,
        source="counts of the classes in both splits",
    )


RULES = (judge_copies, judge_columns, judge_shift, judge_absent_classes)
