"""Which kinds of regularisation and freezing do not go together, or not with the data; all without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dlexp.config.schema.tree import shown
from dlexp.errors import Problem


def regularization_problems(tree: Mapping[str, Any]) -> Iterator[Problem]:
    """What regularization.* asks for and cannot have."""
    given, data, epochs = tree["regularization"], tree["data"], tree["trainer"]["epochs"]
    for key in ("cutmix", "random_erasing"):
        if given[key] and data.get("_inputs_") == "tabular":
            rule = "cuts rectangles out of images, and this data holds tables"
            remedy = "mixup works on tables" if key == "cutmix" else "leave it out"
            yield Problem(f"regularization.{key}", shown(given[key]), rule, remedy, code="incompatible-data")
    if given["cutmix"] and data.get("_targets_") == "value":
        rule = "gives a patchwork the classes of its parts, and the number of a patchwork is not known"
        yield Problem(
            "regularization.cutmix", shown(given["cutmix"]), rule, "use regularization.mixup", code="incompatible-data"
        )
    if given["mix_probability"] != 1 and not (given["mixup"] or given["cutmix"]):
        rule = "is the chance of a mixing that is not on"
        remedy = "set regularization.mixup=0.2 too, or leave it out"
        yield Problem(
            "regularization.mix_probability", shown(given["mix_probability"]), rule, remedy, code="missing-requirement"
        )
    swa = given["swa"]
    if given["ema"]["decay"] is not None and swa["start_epoch"] is not None:
        rule = "keeps one average to judge, and regularization.swa keeps another"
        yield Problem(
            "regularization.ema.decay",
            shown(given["ema"]["decay"]),
            rule,
            "choose one of the two",
            code="cannot-combine",
        )
    if swa["lr"] is not None and swa["start_epoch"] is None:
        rule = "is the rate of an averaging that is not on"
        yield Problem(
            "regularization.swa.lr",
            shown(swa["lr"]),
            rule,
            "set regularization.swa.start_epoch too",
            code="missing-requirement",
        )
    if swa["start_epoch"] is not None and swa["start_epoch"] > epochs:
        rule = f"comes after the last of trainer.epochs={epochs}"
        yield Problem(
            "regularization.swa.start_epoch",
            shown(swa["start_epoch"]),
            rule,
            f"take {epochs} at most",
            code="out-of-range",
        )


def gradient_problems(tree: Mapping[str, Any]) -> Iterator[Problem]:
    """Two lengths for one gradient."""
    trainer = tree["trainer"]
    if trainer["clip_norm"] is not None and trainer["gradient_norm"] is not None:
        rule = f"gives every gradient one norm, and trainer.clip_norm={shown(trainer['clip_norm'])} limits it"
        yield Problem(
            "trainer.gradient_norm",
            shown(trainer["gradient_norm"]),
            rule,
            "choose one of the two",
            code="cannot-combine",
        )


def freezing_problems(tree: Mapping[str, Any]) -> Iterator[Problem]:
    """What trainer.freeze and its companions, and init_head, ask for and cannot have."""
    trainer = tree["trainer"]
    begin, every, epochs = trainer["unfreeze_epoch"], trainer["unfreeze_every"], trainer["epochs"]
    if begin is not None and not trainer["freeze"] and trainer["freeze_layers"] is None:
        rule = "is when frozen layers begin to learn, and nothing is frozen"
        yield Problem(
            "trainer.unfreeze_epoch",
            shown(begin),
            rule,
            "set trainer.freeze_layers=-1, or leave it out",
            code="missing-requirement",
        )
    if begin is not None and begin > epochs:
        rule = f"comes after the last of trainer.epochs={epochs}"
        yield Problem(
            "trainer.unfreeze_epoch", shown(begin), rule, "leave it out to keep them frozen", code="out-of-range"
        )
    if every and begin is None:
        rule = "needs an epoch to begin with"
        yield Problem(
            "trainer.unfreeze_every", shown(every), rule, "set trainer.unfreeze_epoch too", code="missing-requirement"
        )
    if trainer["freeze_layers"] == 0:
        yield Problem(
            "trainer.freeze_layers", "0", "freezes nothing", "leave it out, or take 1 or -1", code="no-effect"
        )
    for key, usual in (("init_head", "keep"), ("init_strict", True)):
        if tree[key] != usual and tree["init_from"] is None:
            rule = "says how weights are taken over, and there are none to take"
            yield Problem(key, shown(tree[key]), rule, "set init_from=RUN too", code="missing-requirement")
