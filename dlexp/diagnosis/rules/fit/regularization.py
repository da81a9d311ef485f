"""Regularization and random changes of samples that keep a network from learning what it could.

Each is switched off in a trial: one that does not hold the run back shows no gain there, however strong it looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dlexp.diagnosis.case import Case, Outcome, Start
from dlexp.diagnosis.rules.fit.gains import (
    Gain,
    beyond_more_of_the_same,
    gain_of,
    mean_loss,
    network_after,
    reached,
    shortfall,
    start_of_trials,
)
from dlexp.diagnosis.verdict import Evidence, Fault, Verdict
from dlexp.specs import ImageSpec

_POOR = 0.15  # training loss by that of the best constant answer; label smoothing of 0.1 alone gives 0.05
_POOR_CHANGED = 0.1  # the same for changed samples, which cost less where they help
_TRAIN_GAIN, _VAL_GAIN, _SURE = 0.3, 0.15, 0.05  # shares of the loss that a trial saves, and surely saves
_SEVERE = 0.5  # training loss by that of the best constant answer
_ENOUGH = 0.7  # of the gain of all together, so that one alone is to blame
_SINGLES = 4  # trials that look for the one to blame
_MILD, _SMALL_PAD = ("crop", "flip", "crop_flip"), 0.125  # presets, and shifts by the side of an image, that are usual
_OFTEN_ERASED = 0.4  # share of the images
_TIMES_CLEAN = 1.2  # loss of changed training samples by that of unchanged ones


@dataclass(frozen=True)
class Brake:
    """Something that holds training back, or may.

    Attributes:
        name: In words.
        value: As the run has it.
        off: The words that switch it off.
        usual: Words of a usual strength, () if the run has less.
        is_mild: Whether it is no stronger than usual, so that it is at most worth a note.
    """

    name: str
    value: str
    off: tuple[str, ...]
    usual: tuple[str, ...] = ()
    is_mild: bool = False


@dataclass(frozen=True)
class _Found:
    brakes: Sequence[Brake]
    words: tuple[str, ...]
    train: Gain
    val: Gain
    after: Outcome
    is_beyond: bool = True  # what more updates give as well


def regularization_too_strong(case: Case) -> Iterator[Verdict]:
    """A network that fits neither its training samples nor others, and fits both without regularization."""
    end = reached(case)
    poor = 0.0 if end is None else shortfall(case, end.train)
    found = _find(case, end, regularizers(case)) if poor > _POOR else None
    if found is None:
        return
    first = Evidence("training loss by that of the best constant answer", poor, _POOR)
    yield _verdict("regularization_too_strong", found, poor, first, "The penalty outweighs what the samples say.")


def augmentation_too_strong(case: Case) -> Iterator[Verdict]:
    """Random changes of samples under which a network does not even learn the unchanged ones, which it does without."""
    end = reached(case)
    poor = 0.0 if end is None else shortfall(case, end.train)
    found = _find(case, end, changes_of_samples(case)) if poor > _POOR_CHANGED else None
    if found is None or end is None:
        return
    changed = list(case.history.of("train/loss"))[-1:] if case.history else []
    own = end.train.metrics.get("loss", mean_loss(end.train))
    if changed and own > 0 and changed[0] > _TIMES_CLEAN * own:
        first = Evidence("loss of changed training samples by that of unchanged ones", changed[0] / own, _TIMES_CLEAN)
    else:
        first = Evidence("training loss by that of the best constant answer", poor, _POOR_CHANGED)
    yield _verdict(
        "augmentation_too_strong", found, poor, first, "The changed samples are unlike those that are predicted."
    )


def regularizers(case: Case) -> list[Brake]:
    """What the run has of them, the strongest first as far as one can know."""
    facts, found = case.facts, []
    for key, off, strong, usual, name in (
        ("regularization.l1", "0", 1e-4, None, "the L1 penalty"),
        ("regularization.l2", "0", 1e-3, None, "the L2 penalty"),
        ("optim.weight_decay", "0", 0.1, "0.01", "the weight decay"),
        ("regularization.dropout", "0", 0.5, "0.2", "dropout"),
        ("model.dropout", "0", 0.5, "0.2", "dropout"),
        ("model.conv_dropout", "0", 0.3, None, "dropout of channels"),
        ("model.attention_dropout", "0", 0.3, None, "dropout of attention"),
        ("model.output_dropout", "0", 0.5, "0.2", "dropout"),
        ("regularization.max_norm", "null", 3.0, None, "the limit of the norm of weights"),
        ("regularization.gradient_noise", "0", 0.01, None, "noise on gradients"),
        ("regularization.label_smoothing", "0", 0.1, "0.1", "label smoothing"),
        ("loss.label_smoothing", "0", 0.1, "0.1", "label smoothing"),
        ("regularization.ema.decay", "null", 0.999, None, "the average of the weights"),
    ):
        value = facts.number(key)
        if not value or (key == "model.dropout" and facts.number("regularization.dropout") is not None):
            continue
        if key == "loss.label_smoothing" and facts.number("regularization.label_smoothing") is not None:
            continue
        is_milder = usual is not None and value > 1.5 * float(usual)
        strength = strong / value if key.endswith("max_norm") else value / strong
        milder = (f"{key}={usual}",) if is_milder else ()
        found.append((strength, Brake(name, f"{key}={value:g}", (f"{key}={off}",), milder, strength <= 1)))
    return [brake for _, brake in sorted(found, key=lambda one: -one[0])]


def changes_of_samples(case: Case) -> list[Brake]:
    """What changes the training samples of the run at random."""
    facts, found = case.facts, []
    augment = facts.settings.get("data.augment")
    if augment not in (None, "none", [], ["none"], ()):
        is_mild = augment in _MILD or (isinstance(augment, list | tuple) and len(augment) == 1 and augment[0] in _MILD)
        inputs = case.bundle.spec.inputs
        side = min(inputs.height, inputs.width) if isinstance(inputs, ImageSpec) else 1
        is_mild &= (facts.number("data.pad") or 1) <= max(1, side * _SMALL_PAD)
        usual: tuple[str, ...] = ()
        if not is_mild and "data.pad" in facts.settings:
            usual = ("data.augment=crop", "data.pad=1")
        found.append(Brake("augmentation", "data.augment", ("data.augment=none",), usual, is_mild))
    if erasing := facts.number("regularization.random_erasing"):
        usual = ("regularization.random_erasing=0.25",) if erasing > _OFTEN_ERASED else ()
        off: tuple[str, ...] = ("regularization.random_erasing=0",)
        found.append(Brake("random erasing", f"regularization.random_erasing={erasing:g}", off, usual, not usual))
    mixed = [(key, facts.number(key)) for key in ("regularization.cutmix", "regularization.mixup")]
    mixed = [(key, value) for key, value in mixed if value]
    if mixed:
        off = tuple(f"{key}=0" for key, _ in mixed)
        if facts.number("regularization.mix_probability") not in (None, 1.0):
            off += ("regularization.mix_probability=1",)  # any other has no effect without them, and is refused
        found.append(Brake("mixing of samples", " ".join(f"{key}={value:g}" for key, value in mixed), off))
    return found


def _find(case: Case, end: Outcome | None, brakes: Sequence[Brake]) -> _Found | None:
    """The one to blame, or all of them, if trials without are clearly better.

    A trial that covers the run is compared with one of the run itself. A shorter one continues from the stored weights,
    as the run itself does; and if these are beyond help, one from the start must be better than the whole run was.
    """
    if not brakes or end is None:
        return None
    everything = tuple(dict.fromkeys(word for brake in brakes for word in brake.off))
    first = start_of_trials(case)
    own, start = network_after(case, start=first) or end, first
    found = _judged(case, own, start, brakes, everything)
    if found is None and first == "stored":
        own, start = end, "initial"
        found = _judged(case, own, start, brakes, everything)
    is_beyond = None if found is None else beyond_more_of_the_same(case, found.after)
    if found is None or is_beyond is False:
        return None
    if len(brakes) > 1:
        for brake in brakes[:_SINGLES]:
            one = _judged(case, own, start, [brake], brake.off)
            if one is not None and one.val.share >= _ENOUGH * found.val.share:
                found = one
                break
    if len(found.brakes) == 1 and found.brakes[0].usual:
        milder = _judged(case, own, start, found.brakes, found.brakes[0].usual)
        found = milder if milder is not None and milder.val.share >= found.val.share else found
    return replace(found, is_beyond=bool(is_beyond))


def _judged(case: Case, own: Outcome, start: Start, brakes: Sequence[Brake], words: tuple[str, ...]) -> _Found | None:
    """What a trial with `words` gains, None if it is not clear."""
    tried = words
    if start == "stored":  # a layer of dropout that is left out changes the names of the weights of some networks
        tried = tuple(word.removesuffix("=0") + "=0.001" if word.endswith("dropout=0") else word for word in words)
    without = network_after(case, *tried, start=start)
    if without is None:
        return None
    train, val = gain_of(own.train, without.train), gain_of(own.val, without.val)
    is_clear = train.share >= _TRAIN_GAIN and val.share >= _VAL_GAIN and min(train.low, val.low) >= _SURE
    return _Found(brakes, words, train, val, without) if is_clear else None


def _verdict(code: Fault, found: _Found, poor: float, first: Evidence, cause: str) -> Verdict:
    names = list(dict.fromkeys(f"{brake.name} ({brake.value})" for brake in found.brakes))
    named = ", ".join(names)
    what = f"{named[:1].upper()}{named[1:]} keep{'s' if len(names) == 1 else ''} the network from learning."
    val, is_mild = found.val, all(brake.is_mild for brake in found.brakes)
    return Verdict(
        code,
        "note" if not found.is_beyond or is_mild else "error" if poor >= _SEVERE else "warning",
        what,
        (
            first,
            Evidence(
                "share of the training loss that a trial without saves",
                found.train.share,
                _TRAIN_GAIN,
                is_trial=True,
            ),
            Evidence("share of the validation loss that it saves", val.share, _VAL_GAIN, is_trial=True),
            Evidence("the same, lower end of the 90 % interval", val.low, _SURE, is_trial=True),
        ),
        cause,
        found.words,
        confidence=min(0.95, 0.6 + 0.4 * val.share) if found.is_beyond and not is_mild else 0.4,
        source="trials without it",
    )


RULES = (regularization_too_strong, augmentation_too_strong)
