"""Problems of combinations of regularization, compression, freezing and data. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dlexp.compression.structure import Structure
from dlexp.config.schema.tree import shown
from dlexp.errors import Problem
from dlexp.kinds import INPUTS, NO_TARGETS, TARGETS, describe_kind

CHANGES_OF_BATCHES = ("mixup", "cutmix", "random_erasing")  # keys of regularization


def regularization_problems(tree: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems of regularization.* with the data and among its keys."""
    given, epochs = tree["regularization"], tree["trainer"]["epochs"]
    yield from _changes_of_batches(given, tree["data"])
    if given["mix_probability"] != 1 and not (given["mixup"] or given["cutmix"]):
        rule = "has no effect without mixup or cutmix"
        remedy = "Set regularization.mixup=0.2 as well, or remove regularization.mix_probability."
        yield Problem(
            "regularization.mix_probability", shown(given["mix_probability"]), rule, remedy, code="missing-requirement"
        )
    swa = given["swa"]
    if given["ema"]["decay"] is not None and swa["start_epoch"] is not None:
        rule = "cannot be combined with regularization.swa: only one weight average can be evaluated"
        yield Problem(
            "regularization.ema.decay",
            shown(given["ema"]["decay"]),
            rule,
            "Use one of the two.",
            code="cannot-combine",
        )
    if swa["lr"] is not None and swa["start_epoch"] is None:
        rule = "requires regularization.swa.start_epoch"
        yield Problem(
            "regularization.swa.lr",
            shown(swa["lr"]),
            rule,
            "Set regularization.swa.start_epoch.",
            code="missing-requirement",
        )
    if swa["start_epoch"] is not None and swa["start_epoch"] > epochs:
        rule = f"must be at most trainer.epochs={epochs}"
        yield Problem(
            "regularization.swa.start_epoch",
            shown(swa["start_epoch"]),
            rule,
            f"Set regularization.swa.start_epoch to {epochs} or less.",
            code="out-of-range",
        )


def _changes_of_batches(given: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem for each change of batches that is not defined for the kinds of data which an option states."""
    inputs, targets = data.get("_inputs_"), data.get("_targets_")
    for key in CHANGES_OF_BATCHES:
        if not given[key]:
            continue
        for wrong in (inputs_problem(key, inputs), targets_problem(key, targets)):
            if wrong:
                rule, remedy = wrong
                yield Problem(f"regularization.{key}", shown(given[key]), rule, remedy, code="incompatible-data")


def inputs_problem(key: str, kind: str | None) -> tuple[str, str] | None:
    """(rule, remedy) where the change of batches `key` is not defined for inputs of a kind of dlexp, else None."""
    if kind is None or kind not in INPUTS or kind == "image" or (kind == "tabular" and key == "mixup"):
        return None
    if key == "cutmix" and kind == "tabular":
        return "requires images, and the data is tabular", "Use regularization.mixup."
    wanted = "images or tables" if key == "mixup" else "images"
    return f"requires {wanted}, and the data has {describe_kind(kind)}", f"Remove regularization.{key}."


def targets_problem(key: str, kind: str | None) -> tuple[str, str] | None:
    """(rule, remedy) where the change of batches `key` is not defined for targets of a kind of dlexp, else None."""
    if key == "random_erasing":
        return None
    if key == "cutmix" and kind in ("value", "forecast"):
        return "is not defined for regression targets", "Use regularization.mixup."
    if key == "cutmix" and kind == "mask":
        rule = "mixes whole targets by their shares, and is not defined for masks (a class for each pixel)"
        return rule, "Use regularization.mixup."
    if kind in ("boxes", "tokens", "tags", "next_tokens", "captions", NO_TARGETS):
        return f"mixes targets, and the data has {TARGETS[kind]}", f"Remove regularization.{key}."
    return None


def gradient_problems(tree: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem where a gradient is both clipped and rescaled."""
    trainer = tree["trainer"]
    if trainer["clip_norm"] is not None and trainer["gradient_norm"] is not None:
        rule = f"cannot be combined with trainer.clip_norm={shown(trainer['clip_norm'])}"
        yield Problem(
            "trainer.gradient_norm",
            shown(trainer["gradient_norm"]),
            rule,
            "Use one of the two.",
            code="cannot-combine",
        )


def freezing_problems(tree: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems of trainer.freeze*, trainer.unfreeze*, init_head and init_strict."""
    trainer = tree["trainer"]
    begin, every, epochs = trainer["unfreeze_epoch"], trainer["unfreeze_every"], trainer["epochs"]
    if begin is not None and not trainer["freeze"] and trainer["freeze_layers"] is None:
        rule = "has no effect: no layer is frozen"
        yield Problem(
            "trainer.unfreeze_epoch",
            shown(begin),
            rule,
            "Set trainer.freeze_layers=-1, or remove trainer.unfreeze_epoch.",
            code="missing-requirement",
        )
    if begin is not None and begin > epochs:
        rule = f"must be at most trainer.epochs={epochs}"
        yield Problem(
            "trainer.unfreeze_epoch",
            shown(begin),
            rule,
            "Remove trainer.unfreeze_epoch to keep the layers frozen.",
            code="out-of-range",
        )
    if every and begin is None:
        rule = "requires trainer.unfreeze_epoch"
        yield Problem(
            "trainer.unfreeze_every", shown(every), rule, "Set trainer.unfreeze_epoch.", code="missing-requirement"
        )
    if trainer["freeze_layers"] == 0:
        yield Problem(
            "trainer.freeze_layers",
            "0",
            "has no effect",
            "Use 1 or -1, or remove trainer.freeze_layers.",
            code="no-effect",
        )
    for key, usual in (("init_head", "keep"), ("init_strict", True)):
        if tree[key] != usual and tree["init_from"] is None:
            rule = "requires init_from"
            yield Problem(key, shown(tree[key]), rule, "Set init_from=RUN", code="missing-requirement")


def compression_problems(tree: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems of compression.* among its keys and with the length of the training."""
    given, epochs = tree["compression"], tree["trainer"]["epochs"]
    for key in ("ranks", "widths"):
        words = {"ranks": (), "widths": (), key: given[key]}
        try:
            Structure.parse(words["ranks"], words["widths"])
        except ValueError as error:
            yield Problem(f"compression.{key}", shown(given[key]), str(error), code="invalid-syntax")
    gradual, sparsity = given["gradual_epochs"], given["sparsity"]
    if sparsity is None and gradual:
        yield Problem(
            "compression.gradual_epochs",
            shown(gradual),
            "requires compression.sparsity",
            "Set compression.sparsity=0.8 as well.",
            code="missing-requirement",
        )
    if gradual > epochs:
        rule = f"must be at most trainer.epochs={epochs}: the network would not become as sparse as it shall"
        yield Problem(
            "compression.gradual_epochs", shown(gradual), rule, f"Set it to {epochs} or less.", code="out-of-range"
        )
