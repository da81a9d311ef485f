"""Rules for a run that is training: from the metrics of its epochs and one update of each, without trials.

They are for faults that leave no doubt; everything else is found by `dlexp doctor` when the run has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

from dlexp.diagnosis.verdict import Evidence, Verdict

_COLLAPSED = 3  # epochs in a row in which only one class is predicted; a network that learns leaves it after one
_EQUAL = 1e-6  # relative difference of numbers that are equal but for rounding
_STUCK = 5  # epochs in a row without learning
_ABOVE = 1.5  # training loss by that of the best constant output; a first epoch of a healthy run reaches 1.2
_FALLING = 0.98  # of the loss of the epoch before
_NOT_LEARNED = 0.97  # of the loss of the best constant output
_STILL = 5e-3  # relative range of the training loss over the epochs
_UNUSED = 3  # epochs
_VANISHED = 1e-6  # gradient of the first weight by that of the last; healthy deep networks stay above 1e-3
_SKIPPED = 0.1  # share of the updates
_WORSE, _PATIENCE = 1.5, 10  # validation loss by the best one, and epochs since then
_CONFIDENT = 0.9
_THEN = "Prove the cause by trials: dlexp doctor and the directory of the run."


@dataclass(frozen=True)
class EpochsSoFar:
    """What is known at the end of an epoch.

    Attributes:
        columns: Name -> values of the epochs so far, the columns of metrics.csv.
        classes: Number of classes, 0 for other targets.
        constant: Training loss of the best constant output, None if it is unknown.
        rate: optim.lr, None where there is none.
        gradients: For the last epochs, name -> root mean square of the gradient of one update, None for a trained
            parameter without a gradient; {} where no update was watched.
        skipped: Updates of the last epoch that were skipped because something was not finite.
        updates: Updates of an epoch.
        start: Loss of the first update that was made, None if it is unknown.
    """

    columns: Mapping[str, Sequence[float]]
    classes: int = 0
    constant: float | None = None
    rate: float | None = None
    gradients: Sequence[Mapping[str, float | None]] = ()
    skipped: int = 0
    updates: int = 1
    start: float | None = None

    @property
    def epoch(self) -> int:
        """Number of the last epoch, from 1."""
        return len(next(iter(self.columns.values()), ()))

    def last(self, name: str, count: int) -> Sequence[float]:
        """The last values of a column; () if there are fewer."""
        values = self.columns.get(name, ())
        return values[-count:] if len(values) >= count else ()


def rate_too_high_now(seen: EpochsSoFar) -> Iterator[Verdict]:
    """A training loss far above that of a constant output, and that at the start, which does not fall."""
    losses, constant = seen.last("train/loss", 2), seen.constant
    if not losses or constant is None or constant <= 0 or not all(map(isfinite, losses)):
        return
    base = max(constant, seen.start if seen.start is not None and isfinite(seen.start) else 0.0)
    if min(losses) > _ABOVE * base and losses[1] > _FALLING * losses[0]:
        against = "the first update" if base > constant else "the best constant output"
        lower = () if seen.rate is None else (f"optim.lr={seen.rate / 10:.3g}",)
        yield Verdict(
            "rate_too_high",
            "warning",
            "The training loss is far above that at the start, and does not fall.",
            (
                Evidence(f"training loss by that of {against}", losses[1] / base, _ABOVE),
                Evidence("training loss by that of the epoch before", losses[1] / losses[0], _FALLING),
            ),
            "The updates are too large to go downhill.",
            lower,
            action=_THEN,
            confidence=_CONFIDENT,
            epoch=seen.epoch,
        )


def class_collapse_now(seen: EpochsSoFar) -> Iterator[Verdict]:
    """The same class for every validation sample, in several epochs."""
    recalls = seen.last("val/balanced_accuracy", _COLLAPSED)
    losses, constant = seen.last("train/loss", 1), seen.constant
    if not recalls or seen.classes < 2 or constant is None or not losses:
        return
    chance = 1 / seen.classes
    if all(abs(recall - chance) < _EQUAL * chance for recall in recalls) and losses[0] > _NOT_LEARNED * constant:
        yield Verdict(
            "class_collapse",
            "warning",
            f"The network predicts one class for every sample since epoch {seen.epoch - _COLLAPSED + 1}.",
            (
                Evidence(
                    f"largest difference of the balanced accuracy of {_COLLAPSED} epochs from that of one class, share",
                    max(abs(recall - chance) for recall in recalls) / chance,
                    _EQUAL,
                    "below",
                ),
                Evidence("training loss by that of the best constant output", losses[0] / constant, _NOT_LEARNED),
            ),
            "Its outputs do not depend on its inputs.",
            action=_THEN,
            confidence=_CONFIDENT,
            epoch=seen.epoch,
        )


def plateau_now(seen: EpochsSoFar) -> Iterator[Verdict]:
    """A training loss that stays where it was, and is that of a constant output."""
    losses, rates, constant = seen.last("train/loss", _STUCK), seen.last("lr", _STUCK), seen.constant
    if not losses or constant is None or constant <= 0 or not all(map(isfinite, losses)):
        return
    is_warming = any(later > earlier for earlier, later in pairwise(rates))
    spread = (max(losses) - min(losses)) / constant
    share = min(losses) / constant
    if not is_warming and spread < _STILL and share > _NOT_LEARNED:
        yield Verdict(
            "plateau",
            "warning",
            f"The network has learned nothing from its inputs in {_STUCK} epochs.",
            (
                Evidence(f"range of the training loss in {_STUCK} epochs, relative", spread, _STILL, "below"),
                Evidence("lowest training loss by that of the best constant output", share, _NOT_LEARNED),
            ),
            "The gradients do not arrive, the rate is far off, or the inputs say nothing about the targets.",
            action=_THEN,
            confidence=_CONFIDENT,
            epoch=seen.epoch,
        )


def unused_parameters_now(seen: EpochsSoFar) -> Iterator[Verdict]:
    """Trained parameters that no watched update had a gradient for."""
    watched = [each for each in seen.gradients[-_UNUSED:] if each]
    if len(watched) < _UNUSED:
        return
    names = [name for name, size in watched[-1].items() if all(each.get(name) is None for each in watched)]
    if names and len(names) < len(watched[-1]):
        named = f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}"
        yield Verdict(
            "unused_parameters",
            "warning",
            f"The loss does not depend on {named}.",
            (
                Evidence("parameter tensors without a gradient", len(names), 0),
                Evidence("epochs in which an update was watched", len(watched), _UNUSED - 1),
            ),
            "The forward pass does not use them, or detaches what they compute.",
            action="Use them in forward(), or remove them.",
            confidence=_CONFIDENT,
            layer=names[0],
            epoch=seen.epoch,
        )


def vanishing_gradients_now(seen: EpochsSoFar) -> Iterator[Verdict]:
    """A gradient of the first layer that is a millionth of that of the last, and no learning."""
    watched = [each for each in seen.gradients[-_UNUSED:] if each]
    losses, constant = seen.last("train/loss", _UNUSED), seen.constant
    if len(watched) < _UNUSED or not losses or constant is None or constant <= 0:
        return
    ratios = [_first_by_last(each) for each in watched]
    if all(ratio is not None and ratio < _VANISHED for ratio in ratios) and min(losses) > _NOT_LEARNED * constant:
        name = next(name for name, size in watched[-1].items() if size is not None)
        yield Verdict(
            "vanishing_gradients",
            "warning",
            "The gradient does not reach the first layers.",
            (
                Evidence("gradient of the first weight by that of the last", ratios[-1] or 0.0, _VANISHED, "below"),
                Evidence(
                    "lowest training loss by that of the best constant output", min(losses) / constant, _NOT_LEARNED
                ),
            ),
            "Each layer scales the gradient down on its way back.",
            action=_THEN,
            confidence=_CONFIDENT,
            layer=name,
            epoch=seen.epoch,
        )


def _first_by_last(gradients: Mapping[str, float | None]) -> float | None:
    sizes = [size for size in gradients.values() if size is not None]
    return sizes[0] / sizes[-1] if len(sizes) > 1 and sizes[-1] > 0 else None


def not_finite_now(seen: EpochsSoFar) -> Iterator[Verdict]:
    """Updates that were skipped because a loss or gradient was not finite."""
    share = seen.skipped / max(1, seen.updates)
    if share > _SKIPPED:
        lower = () if seen.rate is None else (f"optim.lr={seen.rate / 10:.3g}",)
        yield Verdict(
            "not_finite",
            "warning",
            f"{seen.skipped} of {seen.updates} updates of an epoch were skipped: not finite.",
            (
                Evidence("share of the updates of an epoch that were skipped", share, _SKIPPED),
                Evidence("updates that were skipped", seen.skipped, 0),
            ),
            "The loss or the gradient overflows again and again.",
            lower,
            action=_THEN,
            confidence=_CONFIDENT,
            epoch=seen.epoch,
        )


def overfitting_now(seen: EpochsSoFar) -> Iterator[Verdict]:
    """A validation loss far above its best while the training loss still falls."""
    val, train = seen.columns.get("val/loss", ()), seen.columns.get("train/loss", ())
    if len(val) <= _PATIENCE or len(train) != len(val) or not all(map(isfinite, (*val, *train))):
        return
    best = min(range(len(val)), key=lambda place: val[place])
    waited = len(val) - 1 - best
    if waited >= _PATIENCE and val[best] > 0 and val[-1] > _WORSE * val[best] and train[-1] < train[best]:
        yield Verdict(
            "overfitting",
            "note",
            f"The validation loss has risen since epoch {best + 1}, whose weights are kept.",
            (
                Evidence("validation loss by the best one", val[-1] / val[best], _WORSE),
                Evidence("epochs since the best one", waited, _PATIENCE - 1),
            ),
            "The network learns the training samples by heart.",
            (f"regularization.early_stopping.patience={_PATIENCE}",),
            confidence=_CONFIDENT,
            epoch=seen.epoch,
        )


Rule = Callable[[EpochsSoFar], Iterator[Verdict]]

WHILE_TRAINING: tuple[Rule, ...] = (
    not_finite_now,
    rate_too_high_now,
    vanishing_gradients_now,
    class_collapse_now,
    plateau_now,
    unused_parameters_now,
    overfitting_now,
)

# What search.stop stops a trial for. Unused parameters and overfitting say nothing of the values that are searched.
HOPELESS: Mapping[str, tuple[Rule, ...]] = {
    "diverged": (not_finite_now, rate_too_high_now),
    "dead": (vanishing_gradients_now, class_collapse_now, plateau_now),
}
