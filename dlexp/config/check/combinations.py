"""Problems of combinations: regularization, compression, freezing, data, keys without effect. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dlexp.compression.structure import Structure
from dlexp.config.check.batch_size import AUTO
from dlexp.config.files.catalog import Catalog
from dlexp.config.origins import Origins, value_of
from dlexp.config.schema.names import COMPONENTS, PREFERS
from dlexp.config.schema.tree import ABSENT, shown, value_at
from dlexp.errors import Problem
from dlexp.kinds import INPUTS, NO_TARGETS, TARGETS, describe_kind
from dlexp.text.quoting import setting

CHANGES_OF_BATCHES = ("mixup", "cutmix", "random_erasing")  # keys of regularization
_NAMED = 2  # values in a remedy


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
    if kind in ("boxes", "tokens", "tags", "next_tokens", "captions", "image", NO_TARGETS):
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


def effect_problems(
    tree: Mapping[str, Any], choices: Mapping[str, str], catalog: Catalog, origins: Origins
) -> Iterator[Problem]:
    """Yield a problem for each key that is not as its option has it, and has no effect beside the others (`needs`).

    A value that the model prefers is none of the user's, and no mistake.

    Args:
        tree: The configuration as plain containers.
        choices: Group -> option.
        catalog: The options.
        origins: Where values come from.
    """
    preferred = tree["model"].get(PREFERS) or {}
    for group in COMPONENTS:
        option = choices.get(group, "")
        if option not in catalog.options(group):  # of a saved run whose files are elsewhere
            continue
        fields, usual = catalog.fields(group), catalog.keys(group, option)
        for key, field in fields.items():
            value, path = tree[group].get(key, ABSENT), f"{group}.{key}"
            if not field.needs or key not in usual or value == preferred.get(path, ABSENT):
                continue
            if value == value_of(usual[key]) or shown(value) == usual[key].text:
                continue
            for other, wanted in field.needs.items():
                now = value_at(tree, f"{group}.{other}")
                if now is not ABSENT and not _has_effect(now, wanted):
                    yield _without_effect(path, value, f"{group}.{other}", (now, wanted), origins)


def _has_effect(now: Any, wanted: tuple[Any, ...]) -> bool:
    return now in wanted if wanted else now is not None


def _without_effect(path: str, value: Any, other: str, found: tuple[Any, tuple[Any, ...]], origins: Origins) -> Problem:
    now, wanted = found
    settings = [setting(other, one) for one in wanted if one != AUTO][:_NAMED]
    remedy = f"Add {' or '.join(settings) or other}, or remove {path}"
    rule = f"has no effect with {other}={shown(now)}"
    return Problem(path, shown(value), rule, remedy, origins.text(path, value), code="no-effect")


def compression_problems(tree: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems of compression.* among its keys and with the length of the training."""
    given, epochs = tree["compression"], tree["trainer"]["epochs"]
    for key in ("layer_ranks", "layer_widths"):
        words = {"layer_ranks": (), "layer_widths": (), key: given[key]}
        try:
            Structure.parse(words["layer_ranks"], words["layer_widths"])
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
