"""Words that restrain a network, and words that make it larger, as far as the run has keys for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dlexp.diagnosis.case import Case
from dlexp.text.quoting import value

_DROPOUT, _MIXUP = 0.5, 0.4
_DECOUPLED = ("adamw", "lion", "lamb", "muon", "schedule_free_adamw", "adafactor")  # decay outside the gradient
_DECAY = {True: 0.3, False: 1e-3}  # per decoupled or not: ten times the usual, at least
_TIMES = 10
_WIDTHS = ("hidden", "channels", "fc", "units", "token", "width", "dim", "features", "hidden_size", "num_units")
# Key of the model and its value -> the width that has no effect then, and is refused.
_UNUSED = {
    ("layer_kind", "dense"): "channels",
    ("layer_kind", "convolutional"): "hidden",
    ("network", "mlp"): "channels",
    ("network", "unet"): "hidden",
}
_WIDER, _LEAST = 4, 32
_OTHERS = ("mlp", "tabular_mlp", "simple_cnn", "lstm")  # networks that take what the run's own one takes, perhaps


def restraints(case: Case) -> list[tuple[str, ...]]:
    """Words that may mend overfitting: all at once, each alone, and all with a decay ten times as large."""
    gentle = [*_changes(case), *_dropouts(case)]
    singles = [*gentle, *_decays(case)]
    if len(singles) < 2:
        return singles
    strong = [*gentle, *_decays(case, _TIMES)]
    return [_joined(singles), *singles, *([_joined(strong)] if strong != singles else [])]


def fewer_epochs(case: Case, best_epoch: int) -> tuple[str, ...]:
    """Words that end the run at its best epoch, () if it ends there."""
    epochs = case.facts.settings.get("trainer.epochs")
    return (f"trainer.epochs={best_epoch}",) if isinstance(epochs, int) and 0 < best_epoch < epochs else ()


def _joined(words: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(word for one in words for word in one)


def larger_networks(case: Case) -> Iterator[tuple[str, ...]]:
    """Words for a network of several times the width, then for other kinds of network."""
    words, settings = [], case.facts.settings
    unused = {width for (key, kind), width in _UNUSED.items() if settings.get(f"model.{key}") == kind}
    for key, content in settings.items():
        section, _, name = key.rpartition(".")
        if section == "model" and name in _WIDTHS and name not in unused and (wider := _wider(content)) is not None:
            words.append(f"{key}={value(wider)}")
    if words:
        yield tuple(words)
        return
    own = case.facts.options.get("model")
    yield from ((f"model={name}",) for name in _OTHERS if name != own)


def _wider(content: Any) -> Any:
    if isinstance(content, int) and not isinstance(content, bool):
        return max(_LEAST, _WIDER * content)
    if isinstance(content, Sequence) and content and all(type(one) is int for one in content):
        return [max(_LEAST, _WIDER * one) for one in content]
    return [4 * _LEAST] if content == [] else None


def _changes(case: Case) -> list[tuple[str, ...]]:
    settings = case.facts.settings
    found: list[tuple[str, ...]] = []
    if settings.get("data.augment") in ("none", ["none"], []):
        found.append(("data.augment=crop",))
    elif case.classes is not None and not (case.facts.number("regularization.mixup") or _is_cut(case)):
        found.append((f"regularization.mixup={_MIXUP}",))
    return found


def _is_cut(case: Case) -> bool:
    return bool(case.facts.number("regularization.cutmix"))


def _dropouts(case: Case) -> list[tuple[str, ...]]:
    set_for_all = case.facts.number("regularization.dropout")
    own = case.facts.number("model.dropout")
    if set_for_all is not None:
        return [(f"regularization.dropout={_DROPOUT}",)] if set_for_all < _DROPOUT else []
    return [(f"model.dropout={_DROPOUT}",)] if own is not None and own < _DROPOUT else []


def _decays(case: Case, times: float = 1.0) -> list[tuple[str, ...]]:
    decay = case.facts.number("optim.weight_decay")
    if decay is None:
        return []
    least = _DECAY[case.facts.options.get("optim") in _DECOUPLED]
    return [(f"optim.weight_decay={times * max(_TIMES * decay, least):.3g}",)]
