"""Every option of every group, held to one contract; the lists come from conf/, and what was seen is counted."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from functools import cache

import pytest
import torch
from report_of import Kept

from dlexp.assemble.experiment import Experiment, assemble, build_data
from dlexp.assemble.training import prepare_training
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.data.bundle import DataBundle, Split
from dlexp.data.columns import tensor_of
from dlexp.engine.evaluate import Evaluation, evaluate
from dlexp.engine.state import TrainState
from dlexp.engine.step import train_step

CATALOG = Catalog()
# timm is no dependency; tests/unit/models/test_models_zoo.py has a stand-in for it.


def kind(group: str, option: str, key: str) -> str | None:
    """What an option says of itself under a reserved key, such as `_inputs_`; also in a file that it builds on."""
    files = [CATALOG.options(group)[option].path]
    text = files[0].read_text()
    files += [files[0].parent / f"{part}.yaml" for part in re.findall(r"^  - (_\w+)$", text, re.M) if part != "_self_"]
    lines = [line for file in files for line in file.read_text().splitlines()]
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(f"{key}:")), None)


# Sequences have contracts of their own: tests/contract/sequences; images with texts, which one model is for, too:
# tests/unit/tasks/test_tasks_contrastive.py and the matrix of resumed tasks. vit_b16 reads multiples of 16 pixels.
DENSE = (None, "image", "tabular")
MODELS = tuple(
    name
    for name in CATALOG.options("model")
    if name not in ("timm", "vit_b16", "clip") and kind("model", name, "_inputs_") in DENSE
    if kind("model", name, "_prefers_") is None  # of generative tasks: tests/unit/models/generative
    if kind("model", name, "_targets_") != "image"  # tests/unit/tasks/generative
)
# Files have tests of their own, and what is drawn is to a model what digits and diabetes are.
DATA = tuple(
    name
    for name in CATALOG.options("data")
    if not {"path", "folder"} & CATALOG.keys("data", name).keys()
    and not name.startswith(("synthetic", "two_moons", "ring", "logic"))
    if name not in ("dataframe", "ndarrays")  # from memory: tests/unit/api
    if kind("data", name, "_inputs_") in DENSE and kind("data", name, "_targets_") not in ("captions", "image")
)
LOSSES = tuple(name for name in CATALOG.options("loss") if name != "none")  # for tasks from outside
REGULARIZATIONS = tuple(CATALOG.options("regularization"))
TASKS = tuple(name for name in CATALOG.options("task") if kind("task", name, "_targets_") in ("class", "value"))
SMALL = ("trainer.epochs=2", "trainer.device=cpu", "data.batch_size=16", "trainer.precision=fp32")


def fits(model: str, data: str) -> bool:
    """Whether the model reads what the data holds; a model that does not say reads everything."""
    return kind("model", model, "_inputs_") in (None, kind("data", data, "_inputs_"))


PAIRS = [(model, data) for model in MODELS for data in DATA if fits(model, data)]
MISFITS = [(model, data) for model in MODELS for data in DATA if not fits(model, data)]


# Deeper siblings of a network that is trained here: built in full, and run once.
DEEP = ("resnet34", "resnet101", "resnet152", "se_resnet50", "vgg13", "vgg16", "vgg19")


def experiment(*words: str) -> Experiment:
    return assemble(load([*SMALL, *words], CATALOG))


@cache
def few_samples(data: str) -> DataBundle:
    """The data set with 48 samples to train on and 16 in each other split: enough for a contract, not for learning."""
    bundle = build_data(load([f"data={data}"], CATALOG))
    kept = {
        name: Split.in_memory(tensor_of(split.inputs)[:n], tensor_of(split.targets)[:n], split.indices[:n])
        for name, split in bundle.splits.items()
        for n in [48 if name == "train" else 16]
    }
    return replace(bundle, splits=kept)


def small_experiment(model: str, data: str, *words: str) -> Experiment:
    return assemble(load([*SMALL, f"model={model}", f"data={data}", *words], CATALOG), bundle=few_samples(data))


def two_steps(built: Experiment) -> TrainState:
    setup = prepare_training(built)
    setup.state.networks.train()
    batches = setup.batches.epoch(0)
    for _ in range(2):
        train_step(built.task, setup.state, [next(batches)], setup.rules)
    return setup.state


def on_validation(built: Experiment) -> Evaluation:
    return evaluate(
        built.task, built.networks, built.split("val"), built.precision, Kept(built.task.metric_state()), seed=0
    )


def test_the_lists_are_what_is_built_in() -> None:
    """A new option is seen here by changing a number; nothing can drop out of the lists unnoticed."""
    seen = {
        "model": len(MODELS),
        "data": len(DATA),
        "loss": len(LOSSES),
        "pairs": len(PAIRS),
        "misfits": len(MISFITS),
    }
    assert seen == COUNTS
    assert len(PAIRS) + len(MISFITS) == len(MODELS) * len(DATA)


COUNTS = {"model": 41, "data": 5, "loss": 19, "pairs": 85, "misfits": 120}


@pytest.mark.parametrize(("model", "data"), [pair for pair in PAIRS if pair[0] not in DEEP])
def test_a_model_trains_on_the_data_that_it_fits_and_comes_back_from_its_state(model: str, data: str) -> None:
    built = small_experiment(model, data)
    before = {name: value.clone() for name, value in built.networks.state_dict().items()}
    state = two_steps(built)
    assert state.step == 2
    assert all(value == value and abs(value) < 1e6 for value in state.sums.means().values())
    changed = [name for name, p in built.networks.named_parameters() if not torch.equal(p, before[name])]
    assert len(changed) == len(list(built.networks.parameters()))
    found = on_validation(built)
    assert found.metrics.keys() == built.task.metrics.keys()

    buffer = io.BytesIO()
    torch.save(state.state_dict(), buffer)
    buffer.seek(0)
    other = small_experiment(model, data, "seed=1")
    other_state = prepare_training(other).state
    assert on_validation(other).metrics != found.metrics
    other_state.load_state_dict(torch.load(buffer, weights_only=True))
    again = on_validation(other)
    assert again.metrics == found.metrics
    for first, second in zip(found.state.part(Kept).predictions, again.state.part(Kept).predictions, strict=True):
        assert torch.equal(first.outputs, second.outputs)
        assert torch.equal(first.indices, second.indices)


@pytest.mark.parametrize("model", DEEP)
def test_a_deep_sibling_learns_from_a_batch(model: str) -> None:
    built = small_experiment(model, "digits", "data.batch_size=4")
    setup = prepare_training(built)
    weights = {name: p.detach().clone() for name, p in built.networks.named_parameters()}
    train_step(built.task, setup.state, [next(setup.batches.epoch(0))], setup.rules)
    assert 0 < setup.state.sums.means()["loss"] < 100
    assert all(not torch.equal(p, weights[name]) for name, p in built.networks.named_parameters())


# One option for each function that builds models.
BUILDERS = tuple({kind("model", model, "_target_"): model for model, _ in reversed(PAIRS)}.values())


@pytest.mark.parametrize("model", BUILDERS)
def test_the_same_words_build_the_same_weights(model: str) -> None:
    data = next(data for data in DATA if fits(model, data))
    first, second = (small_experiment(model, data).networks.state_dict() for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_goes_with_the_data_of_its_kind(loss: str) -> None:
    targets = kind("loss", loss, "_targets_")
    first = None if targets is None else targets.strip("[]").split(",")[0]
    data = next(name for name in DATA if kind("data", name, "_targets_") == first)
    task = next(name for name in TASKS if kind("task", name, "_outputs_") == kind("loss", loss, "_outputs_"))
    built = experiment("model=mlp", f"data={data}", f"task={task}", f"loss={loss}")
    state = two_steps(built)
    assert 0 < state.sums.means()["loss"] < 100


@pytest.mark.parametrize("regularization", REGULARIZATIONS)
def test_a_regularization_goes_with_the_default_run(regularization: str) -> None:
    needs = {
        "swa": "regularization.swa.start_epoch=2",
        "cutmix": "model=simple_cnn",
        "random_erasing": "model=simple_cnn",
    }
    words = [word for name, word in needs.items() if name == regularization]
    state = two_steps(experiment(f"regularization={regularization}", *words))
    patience = {"light": 20, "strong": 20, "early_stopping": 10}
    assert state.best.patience == patience.get(regularization)
