"""Data as a network gets them: scale of inputs and targets, frequency of classes, order of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isfinite

import numpy as np

from dlexp.data.bundle import DataBundle, with_counts
from dlexp.data.columns import tensor_of
from dlexp.data.tables.original_units import original_columns
from dlexp.diagnosis.case import Case, RunSettings
from dlexp.diagnosis.data.batch_mix import BatchMix, batch_mix
from dlexp.diagnosis.data.class_balance import ClassBalance, class_balance
from dlexp.diagnosis.data.input_scale import FeatureScale, InputScale, input_scale, target_scale
from dlexp.diagnosis.rules.trials import loss_of
from dlexp.diagnosis.verdict import Evidence, Verdict
from dlexp.findings import counted, listed_places
from dlexp.specs import ClassSpec, TableSpec
from dlexp.text.quoting import value

_LARGE, _SMALL = 10.0, 0.1  # root mean square of the inputs
_FAR_MEAN = 3.0  # mean of a feature
_SLOW = 30.0  # times more steps of gradient descent than with standardized features
_UNLIKE = 100.0  # largest by smallest deviation of features
_GAP, _CORE = 3.0, 0.3  # distance of the farthest value by the range of all others; their deviation by that of all
_BETTER = 0.9  # loss with inputs standardized by that of the run
_TARGET_MEAN, _TARGET_LOW, _TARGET_HIGH = 2.0, 0.1, 10.0
_RARE, _FAIR = 10.0, 0.8  # largest by smallest class; effective by real number of classes
_ORDERED = 0.2  # of the way from batches in random order to batches of one class
_ONE_CLASS = 0.05  # batches with a single class, beyond those of a random order


def judge_inputs(case: Case) -> Iterator[Verdict]:
    """Inputs that are far from mean 0 and deviation 1, of unlike scales, or squeezed by a few far values."""
    found = input_scale(case.bundle, case.facts.seed)
    if found is None:
        return
    remedy = standardizing(case.facts)
    candidates = list(unscaled_inputs(found, remedy))
    gain = _gain(case, remedy) if candidates and remedy else None
    yield from unscaled_inputs(found, remedy, gain)
    if not candidates:
        yield from squeezed_inputs(found, case.facts, lambda name: farthest_value(case.bundle, name))


def judge_targets(case: Case) -> Iterator[Verdict]:
    """Targets that are far from mean 0 and deviation 1 where the loss compares them."""
    spread = None if case.now is None else case.now.train.spread
    for one in target_scale(case.bundle):
        yield from unscaled_targets(one, spread)


def standardizing(facts: RunSettings) -> tuple[str, ...]:
    """The overrides that standardize the inputs; () if there are none, or they are set."""
    if facts.settings.get("data.standardize") is False:
        return ("data.standardize=true",)
    given = [key for key in ("data.mean", "data.std") if facts.settings.get(key) is not None]
    return tuple(f"{key}=null" for key in given)


def unscaled_inputs(found: InputScale, remedy: tuple[str, ...], gain: float | None = None) -> Iterator[Verdict]:
    """Inputs of another size than 1, or of different sizes, so that gradient descent is slow.

    Args:
        found: The measures.
        remedy: Overrides that standardize.
        gain: Training loss after a trial with them, by that of the run; None if it was not tried.
    """
    if not found.features:
        return
    wide = max(found.features, key=lambda one: abs(one.mean) + one.std)
    is_sized = found.size >= _LARGE or found.size <= _SMALL
    is_offset, is_unlike = found.largest_mean >= _FAR_MEAN, found.ratio >= _UNLIKE
    if not (is_sized or ((is_offset or is_unlike) and found.condition >= _SLOW)):
        return
    if gain is not None and gain > _BETTER and not is_sized:
        return
    small = found.size <= _SMALL
    evidence = [
        Evidence(
            "root mean square of the inputs", found.size, _SMALL if small else _LARGE, "below" if small else "above"
        )
        if is_sized
        else Evidence("root mean square of the inputs", found.size),
        Evidence("steps of gradient descent by those for standardized inputs", found.condition, _SLOW)
        if found.condition >= _SLOW
        else Evidence("steps of gradient descent by those for standardized inputs", found.condition),
        Evidence("largest mean of an input feature", found.largest_mean, _FAR_MEAN if is_offset else None),
        Evidence("largest by smallest deviation of input features", found.ratio, _UNLIKE if is_unlike else None),
    ]
    if gain is not None and isfinite(gain):
        limit = _BETTER if gain <= _BETTER else None
        evidence.append(Evidence(f"loss with {' '.join(remedy)} by that of the run", gain, limit, "below", True))
    yield Verdict(
        "inputs_not_normalized",
        "note" if gain is not None and gain > _BETTER else "warning",
        f"The inputs are not normalized: {wide.name} has mean {wide.mean:.3g} and deviation {wide.std:.3g}.",
        tuple(evidence),
        "Features of different or large scales are learned at different rates; the first layer is out of its range.",
        remedy,
        action="" if remedy else "Scale the inputs to mean 0 and deviation 1 before they are read.",
        confidence=0.9 if gain is not None and gain <= _BETTER else 0.7,
        source="second moments of the inputs (LeCun et al. 1998, Efficient BackProp)",
    )


def squeezed_inputs(
    found: InputScale, facts: RunSettings, original: Callable[[str], float | None]
) -> Iterator[Verdict]:
    """Features with a value so far from all others that these look alike.

    Args:
        found: The measures.
        facts: The settings, which say which codes stand for missing values.
        original: Name of a column -> its farthest value in its own units, None if it has none.
    """
    bad = [one for one in found.features if one.gap >= _GAP and one.core <= _CORE]
    if not bad:
        return
    worst = max(bad, key=lambda one: one.gap)
    codes, code = facts.settings.get("data.missing_values"), original(worst.name)
    remedy: tuple[str, ...] = ()
    if isinstance(codes, list | tuple) and code is not None and worst.repeats > 1:
        kept = ["default"] if "#DIV/0!" in codes else list(codes)
        remedy = (f"data.missing_values={value([*kept, f'{code:.6g}'])}",)
    shown = "" if code is None else f" {code:.6g}"
    others = [one.name for one in bad if one is not worst]
    more = f", and so have {listed_places(others)}" if others else ""
    yield Verdict(
        "inputs_not_normalized",
        "warning",
        f"{worst.name} has {counted(worst.repeats, 'value')}{shown} so far from all others that they look alike{more}.",
        (
            Evidence(f"distance of the farthest value of {worst.name} by the range of all others", worst.gap, _GAP),
            Evidence(f"deviation of all other values of {worst.name} by that of all", worst.core, _CORE, "below"),
            Evidence("how often the farthest value occurs", worst.repeats),
        ),
        "Such values are often codes for missing ones, or slips; features are scaled by them.",
        remedy,
        action="" if remedy else "Correct the value.",
        confidence=0.85 if remedy else 0.7,
        source="range of the values with and without the farthest",
    )


def farthest_value(bundle: DataBundle, name: str) -> float | None:
    """The training value of a column of a table that is farthest from the median, in the units of its source."""
    if not isinstance(bundle.spec.inputs, TableSpec):
        return None
    columns = original_columns(tensor_of(bundle.splits["train"].inputs).flatten(1).cpu().numpy(), bundle.preprocessing)
    cells = columns.get(name)
    if not isinstance(cells, np.ndarray):
        return None
    return float(cells[np.abs(cells - np.median(cells)).argmax()])


def unscaled_targets(found: FeatureScale, spread: float | None) -> Iterator[Verdict]:
    """Targets of another scale than the outputs of a network have.

    Args:
        found: A target as the loss gets it.
        spread: Deviation of the outputs of the network; None if unknown.
    """
    is_off = abs(found.mean) >= _TARGET_MEAN
    if not is_off and _TARGET_LOW <= found.std <= _TARGET_HIGH:
        return
    is_small = found.std < _TARGET_LOW
    evidence = [
        Evidence(f"mean of {found.name} as the loss gets it", abs(found.mean), _TARGET_MEAN if is_off else None),
        Evidence(
            f"deviation of {found.name} as the loss gets it",
            found.std,
            _TARGET_LOW if is_small else _TARGET_HIGH if found.std > _TARGET_HIGH else None,
            "below" if is_small else "above",
        ),
    ]
    if spread is not None:
        evidence.append(Evidence("deviation of the outputs of the network", spread))
    yield Verdict(
        "targets_not_standardized",
        "warning",
        f"The target {found.name} has mean {found.mean:.3g} and deviation {found.std:.3g} where the loss compares it.",
        tuple(evidence),
        "A network begins with outputs of about 0 and 1, and spends its updates on the level of the targets.",
        action="Let the data source say mean and deviation of its targets (ValueSpec.mean, ValueSpec.std).",
        confidence=0.8,
        source="moments of the targets",
    )


def judge_classes(case: Case) -> Iterator[Verdict]:
    """Rare classes, before training; of a trained network it is judged which classes it misses."""
    targets = with_counts(case.bundle).spec.targets
    if isinstance(targets, ClassSpec) and any(targets.counts) and case.end is None:
        yield from rare_classes(class_balance(targets.counts), targets.names, case.facts)


def rare_classes(found: ClassBalance, names: tuple[str, ...], facts: RunSettings) -> Iterator[Verdict]:
    """A note of a class that is much rarer than another, where nothing balances them.

    Args:
        found: The counts.
        names: Of the classes.
        facts: The settings, which say whether classes are balanced already.
    """
    is_balanced = facts.settings.get("data.balance", "none") != "none"
    is_balanced |= facts.settings.get("loss.class_weights") is not None
    share = found.effective / max(len(found.counts) - len(found.absent), 1)
    if is_balanced or found.ratio < _RARE or share > _FAIR:
        return
    least = min((count, number) for number, count in enumerate(found.counts) if count)[1]
    most = max((count, -number) for number, count in enumerate(found.counts))[1]
    way = "weights" if "loss.class_weights" in facts.settings else "sampling"
    yield Verdict(
        "class_imbalance",
        "note",
        f"Class {names[-most]} has {found.ratio:.1f} times the samples of class {names[least]}.",
        (
            Evidence("samples of the most frequent class by those of the rarest", found.ratio, _RARE),
            Evidence("effective by real number of classes", share, _FAIR, "below"),
        ),
        "The loss is the mean over samples, so that rare classes hardly count; this matters if they are not found.",
        (f"data.balance={way}",),
        confidence=0.5,
        source="entropy of the classes",
    )


def judge_batches(case: Case) -> Iterator[Verdict]:
    """Batches in which classes are not mixed."""
    facts = case.facts
    balanced = facts.settings.get("data.balance") == "sampling"
    found = batch_mix(case.bundle, facts.batch_size, facts.seed, balanced)
    if found is not None:
        yield from unmixed_batches(found, facts)


def unmixed_batches(found: BatchMix, facts: RunSettings) -> Iterator[Verdict]:
    """Batches whose classes differ far more from those of all samples than batches in a random order."""
    beyond = (found.distance - found.random_distance) / max(1 - found.random_distance, 1e-9)
    is_clear = found.distance >= found.random_distance + 6 * found.random_spread
    if beyond < _ORDERED or not is_clear or found.one_class < found.random_one_class + _ONE_CLASS:
        return
    is_bucket = facts.settings.get("data.bucket") is True
    yield Verdict(
        "unshuffled_data",
        "warning",
        f"The classes are not mixed in the batches: {found.one_class:.0%} of the batches have a single class.",
        (
            Evidence(
                "distance of the classes of a batch from those of all samples", found.distance, found.random_distance
            ),
            Evidence("batches of one class, share", found.one_class, found.random_one_class + _ONE_CLASS),
            Evidence("samples with the class of the one before in the source, share", found.source_repeats),
        ),
        "Batches are made of sequences of similar lengths, and the length tells the class."
        if is_bucket
        else "The order of the samples follows their classes.",
        ("data.bucket=false",) if is_bucket else (),
        action="" if is_bucket else "Shuffle the samples.",
        confidence=0.9,
        source="classes of the batches of an epoch against random orders",
    )


def _gain(case: Case, remedy: tuple[str, ...]) -> float:
    own = loss_of(case.twin())
    return loss_of(case.twin(*remedy)) / own if own > 0 else 1.0


RULES = (judge_inputs, judge_targets, judge_classes, judge_batches)
