"""Advice on the user's own data together with a configuration: one line for each note, with the words to type.

Built-in data sets get none: their sizes are known, and their default lines are what the docs show. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dlexp.config.schema.data_name import is_own_data
from dlexp.config.schema.run import RunConfig
from dlexp.text.quoting import setting

# An accuracy near one half, of n samples, is known to ± 1.96 * 0.5 / sqrt(n): 10 points for n = 96 (normal).
_CONFIDENCE, _WIDE_POINTS = 1.96, 10.0
_SMALL_SIDE = 16  # pixels: below it an image has little to convolve
_MANY_NAMED = 3


@dataclass(frozen=True)
class DataFacts:
    """What the advice reads of the data and the network.

    Attributes:
        samples: Split -> number of samples.
        image_side: The shorter side of an image in pixels, 0 for other inputs.
        is_dense: Whether the network has no convolution and no attention.
        class_names: (K,); () for other targets.
        val_counts: Validation samples of each class, (K,); () if unknown.
    """

    samples: dict[str, int]
    image_side: int = 0
    is_dense: bool = False
    class_names: Sequence[str] = ()
    val_counts: Sequence[int] = ()


def advice_on_data(config: RunConfig, facts: DataFacts) -> Iterator[str]:
    """Yield advice on own data, one sentence or two for each note."""
    if not is_own_data(config.data.option):
        return
    if facts.image_side >= _SMALL_SIDE and facts.is_dense and _has_answers(config):
        yield (
            f"model={config.model.option} sees no neighborhood of pixels, and images are usually classified better by "
            "a convolutional network. Add model=resnet18"
        )
    yield from _of_batch(config, facts.samples["train"])
    yield from _of_splits(config, facts)


def _has_answers(config: RunConfig) -> bool:
    """Whether the task predicts targets, which a generative one does not."""
    return bool(config.tree["task"].get("_outputs_") != "none")


def _of_batch(config: RunConfig, train: int) -> Iterator[str]:
    size, accumulate = config.batch_size, config.trainer.accumulate
    batches = -(-train // size) if size else 0
    if size > train > 1:
        fits = 1 << max(1, (train // 4).bit_length() - 1)
        yield (
            f"data.batch_size={size} is more than the {train:,} training samples, so an epoch has one update. "
            f"Add data.batch_size={fits}"
        )
    elif batches and accumulate > batches:
        yield (
            f"trainer.accumulate={accumulate} is more than the {batches} batches of an epoch, so no update is full. "
            f"Add trainer.accumulate={batches}"
        )


def _of_splits(config: RunConfig, facts: DataFacts) -> Iterator[str]:
    """One note for validation and test split together if they have few samples, else on what validation leaves out."""
    classes = len(facts.class_names)
    few = max(2, classes)
    small = {name: facts.samples[name] for name in ("val", "test") if 0 < facts.samples.get(name, 0) < few}
    if small:
        found = " and ".join(f"the {name} split has {count}" for name, count in small.items())
        of = f" for {classes} classes" if classes > 2 else ""
        yield f"{found} sample{'s' if max(small.values()) > 1 else ''}{of}: metrics on it say little. {_larger(config)}"
        return
    absent = [name for name, count in zip(facts.class_names, facts.val_counts, strict=False) if not count]
    if absent and not config.anomalies:
        named = ", ".join(repr(name) for name in absent[:_MANY_NAMED])
        more = f" and {len(absent) - _MANY_NAMED} more" if len(absent) > _MANY_NAMED else ""
        yield f"the validation split has no sample of class {named}{more}, so validation ignores it. {_larger(config)}"
    points = 100 * _CONFIDENCE * 0.5 / max(1, facts.samples["val"]) ** 0.5
    if classes and points > _WIDE_POINTS and _has_answers(config):
        yield (
            f"an accuracy on the {facts.samples['val']:,} validation samples is known to about ± {points:.0f} points "
            "(95 %), so small differences between runs are mostly chance. Their intervals are in dlexp compare RUN RUN"
        )


def _larger(config: RunConfig) -> str:
    """How the splits become larger: by their shares, if dlexp draws them, otherwise by more samples."""
    shares = {name: config.data.arguments.get(f"{name}_fraction") for name in ("val", "test")}
    if all(isinstance(share, float) and share <= 0.25 for share in shares.values()):
        return f"Add {setting('data.val_fraction', 0.3)} {setting('data.test_fraction', 0.3)}, or use more samples."
    return "Use more samples."
