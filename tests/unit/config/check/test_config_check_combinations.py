"""Which kinds of regularization and freezing are refused together, and that each key of them reaches a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from refusals import load_refused, refused

from dlexp.assemble.experiment import assemble
from dlexp.assemble.training import prepare_training
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.regularization import RegularizationConfig
from dlexp.config.schema.run import section_fields
from dlexp.engine.step import train_step
from dlexp.errors import ConfigError
from dlexp.tasks.classification import Classification

CATALOG = Catalog()
SMALL = ("model=simple_cnn", "model.channels=[4]", "model.fc=4", "trainer.device=cpu")
FEW = ("data.train_per_class=5", "data.batch_size=16")


@pytest.mark.parametrize(
    ("words", "code", "where", "remedy"),
    [
        ("data=iris regularization.cutmix=1", "incompatible-data", "regularization.cutmix", "mixup"),
        ("data=iris regularization.random_erasing=1", "incompatible-data", "regularization.random_erasing", ""),
        ("data=diabetes regularization.cutmix=1", "incompatible-data", "regularization.cutmix", "regularization.mixup"),
        (
            "regularization.mix_probability=0.5",
            "missing-requirement",
            "regularization.mix_probability",
            "regularization.mixup=0.2",
        ),
        (
            "regularization.ema.decay=0.9 regularization.swa.start_epoch=2",
            "cannot-combine",
            "regularization.ema.decay",
            "",
        ),
        ("regularization.swa.lr=0.1", "missing-requirement", "regularization.swa.lr", "regularization.swa.start_epoch"),
        ("regularization.swa.start_epoch=31", "out-of-range", "regularization.swa.start_epoch", "30"),
        ("trainer.unfreeze_epoch=3", "missing-requirement", "trainer.unfreeze_epoch", "trainer.freeze_layers=-1"),
        ("trainer.freeze_layers=1 trainer.unfreeze_epoch=31", "out-of-range", "trainer.unfreeze_epoch", ""),
        (
            "trainer.freeze_layers=1 trainer.unfreeze_every=1",
            "missing-requirement",
            "trainer.unfreeze_every",
            "trainer.unfreeze_epoch",
        ),
        ("trainer.freeze_layers=0", "no-effect", "trainer.freeze_layers", ""),
        ("init_head=new", "missing-requirement", "init_head", "init_from=RUN"),
        ("trainer.clip_norm=1 trainer.gradient_norm=1", "cannot-combine", "trainer.gradient_norm", ""),
        ("init_strict=false", "missing-requirement", "init_strict", "init_from=RUN"),
        ("regularization.mixup=-1", "out-of-range", "regularization.mixup", ""),
        ("regularization.ema.decay=1", "out-of-range", "regularization.ema.decay", ""),
        ("regularization.emma.decay=0.9", "unknown-key", "regularization.emma.decay", "regularization.ema.decay"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(words: str, code: str, where: str, remedy: str) -> None:
    load_refused(words.split(), CATALOG, code, where, remedy)


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ("optim=lbfgs regularization.gradient_noise=0.1", "regularization.gradient_noise"),
        ("optim=sam regularization.gradient_noise=0.1", "regularization.gradient_noise"),
        ("optim=sam trainer.precision=fp16", "trainer.precision"),
        ("optim=lbfgs trainer.gradient_norm=1", "trainer.gradient_norm"),
        ("optim=lookahead regularization.ema.decay=0.9", "regularization.ema.decay"),
        ("optim=lbfgs regularization.max_norm=1", "regularization.max_norm"),
    ],
)
def test_what_the_optimizer_cannot_stand_is_refused(words: str, where: str) -> None:
    with pytest.raises(ConfigError) as error:
        prepare_training(assemble(load([*SMALL, *words.split()], CATALOG)))
    refused(error.value, "cannot-combine", where)


@pytest.mark.parametrize("key", ["ema.decay=0.9", "swa.start_epoch=2"])
def test_two_averages_are_refused(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.optim.AdamW, "eval", lambda self: None, raising=False)
    with pytest.raises(ConfigError) as error:
        prepare_training(assemble(load([*SMALL, f"regularization.{key}"], CATALOG)))
    refused(error.value, "cannot-combine", f"regularization.{key.partition('=')[0]}")


def test_a_task_without_a_loss_for_mixed_samples_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Classification, "mixes", False)
    experiment = assemble(load([*SMALL, "regularization.cutmix=1"], CATALOG))
    with pytest.raises(ConfigError) as error:
        prepare_training(experiment)
    refused(error.value, "not-supported", "regularization.cutmix")


# A value for each key that differs from its default; what it needs beside it comes with it.
OTHER = {
    "dropout": ("0.3",),
    "label_smoothing": ("0.1",),
    "l1": ("0.1",),
    "l2": ("0.1",),
    "mixup": ("0.5",),
    "cutmix": ("1",),
    "mix_probability": ("0.3", "regularization.mixup=0.5"),
    "random_erasing": ("0.9",),
    "max_norm": ("0.1",),
    "gradient_noise": ("0.1",),
    "ema.decay": ("0.9",),
    "swa.start_epoch": ("1",),
    "swa.lr": ("0.5", "regularization.swa.start_epoch=1"),
}


def outcome(*words: str) -> Iterator[Any]:
    """Everything that two epochs leave: trained and judged weights."""
    experiment = assemble(load([*SMALL, *FEW, "trainer.epochs=2", *words], CATALOG))
    run = prepare_training(experiment)
    run.state.train_mode()
    for epoch in range(2):
        for batch in run.batches.epoch(epoch):
            train_step(experiment.task, run.state, [batch], run.rules)
        run.state.average.after_epoch(epoch + 1)
        run.state.finish_epoch()
    state = run.state.state_dict()
    yield from state["networks"].values()
    yield from state.get("eval_weights", {}).values()


def test_every_key_changes_something() -> None:
    keys = {path.removeprefix("regularization.") for path in section_fields(RegularizationConfig, "regularization")}
    assert keys - set(OTHER) == {"early_stopping.patience", "early_stopping.min_delta"}  # test_engine_policy.py
    for key, (value, *others) in OTHER.items():
        plain, changed = list(outcome(*others)), list(outcome(*others, f"regularization.{key}={value}"))
        same = len(plain) == len(changed) and all(torch.equal(a, b) for a, b in zip(plain, changed, strict=True))
        assert not same, key


def test_elastic_net_is_both_penalties() -> None:
    both = load(["regularization=elastic_net"], CATALOG).regularization
    assert both.l1 > 0
    assert both.l2 > 0


def test_the_preset_for_everything_fits_tables_and_images_classes_and_values() -> None:
    for data in ("iris", "digits", "diabetes"):
        prepare_training(assemble(load([f"data={data}", "regularization=strong", "trainer.device=cpu"], CATALOG)))
