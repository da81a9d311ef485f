"""Distillation: the loss, what the teacher sees, what a run keeps of it, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from refusals import line_refused
from torch import Tensor

from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.assemble.experiment import Experiment, assemble
from dlexp.assemble.training import prepare_training
from dlexp.cli.app import main
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError
from dlexp.types import Batch, as_tensor

SMALL = ("trainer.device=cpu", "trainer.epochs=2", "data.batch_size=256")
TEACHER = (*SMALL, "model.hidden=[32]", "optim.lr=0.01")
STUDENT = (*SMALL, "data.augment=none", "model.hidden=[6]", "task=distillation")


def run(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, *(() if words[0] == "export" else ("-q",))])
    assert not ended.value.code


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained classifier of digits."""
    place = tmp_path_factory.mktemp("runs") / "teacher"
    run("train", *TEACHER, "--run-dir", str(place))
    return place


@pytest.fixture(scope="module")
def values_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained network of numbers, with a loss of other outputs."""
    place = tmp_path_factory.mktemp("runs") / "values"
    run("train", "data=diabetes", "loss=quantile", *TEACHER, "--run-dir", str(place))
    return place


def student(teacher: Path, *words: str) -> Experiment:
    return assemble(load([*STUDENT, f"task.teacher={teacher}", *words], Catalog()))


def first_batch(experiment: Experiment) -> Batch:
    return next(iter(prepare_training(experiment).batches.epoch(0)))


def outputs_of(teacher: Path, inputs: Tensor) -> Tensor:
    """The outputs of a run's network, built without anything of distillation."""
    words = [word for word in TEACHER if "quantile" not in word]
    data = ("data=diabetes", "loss=quantile") if teacher.name == "values" else ()
    experiment = assemble(load([*data, *words], Catalog()))
    experiment.networks.load_state_dict(read_checkpoint(teacher / "checkpoints" / "best.pt")["networks"])
    experiment.networks.eval()
    with torch.no_grad():
        return as_tensor(experiment.networks["model"](inputs))


def test_the_loss_is_that_of_hinton_and_the_teacher_gets_no_gradient(teacher: Path) -> None:
    found = student(teacher, "task.temperature=2.5", "task.alpha=0.6", "model.dropout=0")
    batch, networks = first_batch(found), dict(found.networks.items())
    loss = found.task.loss("train", networks, batch)
    found.networks.train()
    logits, targets = networks["model"](batch.inputs), as_tensor(batch.targets)
    taught = outputs_of(teacher, as_tensor(batch.inputs))
    soft = F.kl_div(F.log_softmax(logits / 2.5, 1), F.softmax(taught / 2.5, 1), reduction="batchmean") * 2.5**2
    hard = F.cross_entropy(logits, targets)
    torch.testing.assert_close(loss.value, 0.6 * soft + 0.4 * hard)
    torch.testing.assert_close(loss.parts["soft_loss"], soft.detach())
    torch.testing.assert_close(loss.parts["hard_loss"], hard.detach())
    assert torch.equal(loss.parts["teacher_agreement"], logits.argmax(1) == taught.argmax(1))
    loss.value.backward()
    assert all(parameter.grad is not None for parameter in networks["model"].parameters())
    assert found.teacher is not None
    assert not any(parameter.requires_grad for parameter in found.teacher.network.parameters())
    assert not any(module.training for module in found.teacher.network.modules())


def test_evaluation_knows_no_teacher_and_its_loss_is_that_of_the_targets(teacher: Path) -> None:
    found = student(teacher)
    batch, networks = first_batch(found), dict(found.networks.items())
    found.networks.eval()
    prediction = found.task.predict(networks, batch)
    logits = networks["model"](batch.inputs)
    torch.testing.assert_close(prediction.loss, F.cross_entropy(logits, as_tensor(batch.targets)))


def test_a_student_starts_with_the_weights_that_it_has_without_a_teacher(teacher: Path) -> None:
    words = [word for word in STUDENT if word != "task=distillation"]
    alone = assemble(load(words, Catalog())).networks.state_dict()
    for more in ((), ("task.hints={1: 1}",)):
        found = student(teacher, *more).networks.state_dict()
        assert all(torch.equal(found[name], value) for name, value in alone.items())


@pytest.mark.parametrize("words", [("regularization.mixup=0.5",), ("data.augment=[{crop: 2}]",)])
def test_the_teacher_sees_the_batch_of_the_student(
    teacher: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    found = student(teacher, *words)
    plain = as_tensor(first_batch(student(teacher)).inputs)
    batch, seen = first_batch(found), list[Tensor]()
    assert found.teacher is not None
    found.teacher.network.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    loss = found.task.loss("train", dict(found.networks.items()), batch)
    assert loss.value.isfinite() and len(seen) == 1
    assert seen[0] is batch.inputs and not torch.equal(seen[0], plain)


def test_hints_are_learned_beside_the_loss_and_are_no_part_of_the_model(teacher: Path) -> None:
    found = student(teacher, "task.hints={1: 1}", "task.hint_weight=2", "model.dropout=0")
    maps: Any = list(found.networks["hints"].children())
    assert [(each.in_features, each.out_features) for each in maps] == [(6, 32)]
    assert found.num_parameters == student(teacher).num_parameters
    batch, networks = first_batch(found), dict(found.networks.items())
    loss = found.task.loss("train", networks, batch)
    parts = loss.parts
    expected = 0.7 * parts["soft_loss"] + 0.3 * parts["hard_loss"] + 2 * parts["hint_loss"]
    torch.testing.assert_close(loss.value.detach(), expected)
    loss.value.backward()
    assert networks["hints"].get_submodule("0").get_parameter("weight").grad.abs().sum() > 0  # type: ignore[union-attr]
    assert not found.networks["model"].get_submodule("1")._forward_hooks


@pytest.fixture(scope="module")
def trained(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """(student with hints, its teacher), which may be deleted."""
    folder = tmp_path_factory.mktemp("pair")
    shutil.copytree(teacher, folder / "teacher")
    words = (*STUDENT, f"task.teacher={folder / 'teacher'}", "task.hints={1: 1}")
    run("train", *words, "--run-dir", str(folder / "student"))
    yield folder / "student", folder / "teacher"


def test_a_run_keeps_the_fingerprint_of_its_teacher_and_none_of_its_weights(trained: tuple[Path, Path]) -> None:
    meta = json.loads((trained[0] / "meta.json").read_text())
    assert meta["teacher"] == str(trained[1]) and len(meta["teacher_fingerprint"]) == 64
    saved = read_checkpoint(trained[0] / "checkpoints" / "last.pt")["networks"]
    assert {name.partition(".")[0] for name in saved} == {"model", "hints"}
    assert max(value.numel() for value in saved.values()) < 32 * 64
    columns = (trained[0] / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"train/soft_loss", "train/hard_loss", "train/hint_loss", "train/teacher_agreement"} <= set(columns)


def test_a_changed_teacher_is_refused_on_resume(
    trained: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place, other = trained
    moved = tmp_path / "moved"
    for copied in (tmp_path / "student", moved):
        shutil.copytree(place, copied)
    aside = other.with_name("aside")
    other.rename(aside)
    try:
        words = ("train", "--resume", str(tmp_path / "student"), "trainer.epochs=3")
        line_refused(capsys, *words, code="not-found", where="task.teacher")
        run("train", "--resume", str(moved), "trainer.epochs=3", f"task.teacher={aside}")
        run("train", *TEACHER, "seed=1", "--run-dir", str(other))
        line_refused(capsys, *words, code="data-changed", where="teacher_fingerprint", remedy="--allow-changes")
    finally:
        shutil.rmtree(other, ignore_errors=True)
        aside.rename(other)
    run("train", "--resume", str(tmp_path / "student"), "trainer.epochs=3")


def test_a_teacher_is_refused_where_the_task_has_none(
    trained: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("train", "--resume", str(trained[1]), "trainer.epochs=3", "task.teacher=a")
    line_refused(capsys, *words, code="unknown-key", where="task.teacher", remedy="Remove it.")


def test_a_trained_student_needs_no_teacher(trained: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(trained[0], tmp_path / "student")
    aside = trained[1].rename(trained[1].with_name("gone"))
    try:
        run("evaluate", str(tmp_path / "student"))
        run("export", str(tmp_path / "student"), "--to", "safetensors")
    finally:
        aside.rename(trained[1])


def test_a_resumed_student_is_that_of_an_uninterrupted_run(teacher: Path, tmp_path: Path) -> None:
    words = (*STUDENT, f"task.teacher={teacher}", "task.hints={1: 1}", "regularization.mixup=0.2")
    run("train", *words, "trainer.epochs=1", "scheduler=constant", "--run-dir", str(tmp_path / "parts"))
    run("train", *words, "scheduler=constant", "--run-dir", str(tmp_path / "one"))
    run("train", "--resume", str(tmp_path / "parts"), "trainer.epochs=2")
    one, parts = (read_checkpoint(tmp_path / name / "checkpoints" / "last.pt")["networks"] for name in ("one", "parts"))
    assert all(torch.equal(one[name], value) for name, value in parts.items())


@pytest.mark.parametrize(
    "words, code, where, remedy",
    [
        (("data.split_seed=1",), "incompatible-run", "task.teacher", "data.split_seed=0"),
        (("data.split_seed=1", "data.train_per_class=20"), "incompatible-run", "task.teacher", "data.split_seed=0"),
        (("data.val_fraction=0.3",), "incompatible-run", "task.teacher", "data.val_fraction="),
        (("data.classes=[1,2,3]",), "incompatible-run", "task.teacher", ""),
        (("data=wine", "data.augment="), "incompatible-run", "task.teacher", ""),
        (("task.teacher=nowhere",), "not-found", "task.teacher", ""),
        (("task.temperature=null",), "invalid-value", "task", ""),
        (("task.alpha=1.5",), "out-of-range", "task.alpha", ""),
        (("loss=multi_margin",), "invalid-value", "task", ""),
        (("task.hints={1: layer}",), "unknown-value", "task.hints", ""),
        (("task.hints={first: 1}",), "unknown-value", "task.hints", ""),
        (("task=regression_distillation", "data=diabetes", "data.augment="), "incompatible-run", "task.teacher", ""),
    ],
)
def test_what_cannot_be_taught_is_refused_with_what_to_do(
    teacher: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    code: str,
    where: str,
    remedy: str,
) -> None:
    given = [word for word in STUDENT if word.partition("=")[0] not in {each.partition("=")[0] for each in words}]
    own = () if any(word.startswith("task.teacher") for word in words) else (f"task.teacher={teacher}",)
    words = tuple(word for word in words if not word.endswith("="))
    line_refused(capsys, "train", *given, *own, *words, code=code, where=where, remedy=remedy)


def test_a_student_may_see_fewer_samples_of_the_same_split(teacher: Path) -> None:
    """As in trials of `dlexp doctor` that memorize some samples."""
    config, bundle = load([*STUDENT, f"task.teacher={teacher}"], Catalog()), student(teacher).bundle
    found = assemble(config, bundle=bundle.with_split_subset("train", torch.arange(50)))
    assert found.teacher is not None and len(found.bundle.splits["train"]) == 50


def test_numbers_are_learned_from_predictions_in_standard_deviations(values_teacher: Path) -> None:
    words = ["data=diabetes", "task=regression_distillation", *SMALL, "model.hidden=[6]", "model.dropout=0"]
    found = assemble(load([*words, f"task.teacher={values_teacher}", "task.alpha=0.25"], Catalog()))
    batch, networks = first_batch(found), dict(found.networks.items())
    loss = found.task.loss("train", networks, batch)
    outputs = networks["model"](batch.inputs)
    taught = outputs_of(values_teacher, as_tensor(batch.inputs))
    levels = len(load(["data=diabetes", "loss=quantile"], Catalog()).loss.arguments["quantiles"])
    median = taught.reshape(-1, levels, 1).sort(dim=1).values[:, levels // 2]
    soft = F.mse_loss(outputs, median)
    spec: Any = found.bundle.spec.targets
    wanted = (as_tensor(batch.targets) - spec.mean[0]) / spec.std[0]
    hard = F.mse_loss(outputs, wanted.float())
    torch.testing.assert_close(loss.value, 0.25 * soft + 0.75 * hard)


def test_the_loss_of_numbers_must_have_one_value_for_each(values_teacher: Path) -> None:
    words = ["data=diabetes", "task=regression_distillation", "loss=quantile", *SMALL]
    with pytest.raises(ConfigError, match="loss=mse"):
        assemble(load([*words, f"task.teacher={values_teacher}"], Catalog()))
