"""Every technique of regularization on every kind of inputs and targets: it trains, or is refused by its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from math import isfinite

import pytest
from combinations import some_of, spread
from outside_package import installed

from dlexp import kinds
from dlexp.assemble.compatibility import refuse_changes_of_batches
from dlexp.assemble.experiment import assemble, build_data
from dlexp.assemble.training import prepare_training
from dlexp.config.check.combinations import CHANGES_OF_BATCHES, regularization_problems
from dlexp.config.compose import load
from dlexp.config.files.builtin import builtin_root
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.run import RunConfig
from dlexp.engine.loop import fit
from dlexp.errors import ConfigError
from dlexp.runtime.signals import NeverStop

PACKAGE = """
from dataclasses import dataclass
from typing import ClassVar
import torch
from torch import nn
from dlexp.data.bundle import SPLITS, DataBundle, Split
from dlexp.data.preprocess import Identity
from dlexp.specs import *
from dlexp.sequence_specs import *
from dlexp.spec_base import InputSpec, TargetSpec
from dlexp.tasks.base import Task, forward
from dlexp.text.vocabulary import learn_vocabulary
from dlexp.types import LossOutput, Prediction, Sequences, select
WORDS = learn_vocabulary(["a b"], "word")
COUNT, SIDE = 12, 6
@dataclass(frozen=True)
class Graph(InputSpec):
    kind: ClassVar[str] = "mesh"
    def blank(self): return {"nodes": torch.zeros(1, 4, 3), "edges": torch.zeros(1, 4, 4)}
@dataclass(frozen=True)
class Wave(InputSpec):
    kind: ClassVar[str] = "pulse"
    def blank(self): return torch.zeros(1, 2, 5)
@dataclass(frozen=True)
class Depth(TargetSpec):
    kind: ClassVar[str] = "relief"
    geometry: ClassVar[str] = "mask"
    def blank(self): return torch.zeros(1, SIDE, SIDE)
@dataclass(frozen=True)
class Named(TargetSpec):
    kind: ClassVar[str] = "labeled"
    def blank(self): return {"a": torch.zeros(1), "b": torch.zeros(1, 2)}
INPUTS = [ImageSpec(1, SIDE, SIDE), TableSpec(5), TokenSpec(7, 5), SeriesSpec(2, 5), Graph(), Wave()]
TARGETS = [ClassSpec(("p", "q", "r")), ValueSpec(("y",), (0.0,), (1.0,)), LabelSpec(("p", "q")), BoxSpec(("p",)),
           MaskSpec(("p", "q"), SIDE, SIDE), ImageTargetSpec(1, SIDE, SIDE), TokenTargetSpec(7, 5), NextTokenSpec(7, 5),
           TagSpec(("p", "q"), 5), CaptionSpec(WORDS, 5),
           ForecastSpec(("y",), 2, (0.0,), (1.0,)), Depth(), Named(), None]
def drawn(blank):
    if isinstance(blank, Sequences):
        return Sequences(drawn(blank.values), torch.arange(COUNT) % blank.values.shape[1] + 1)
    if isinstance(blank, dict):
        return {name: drawn(value) for name, value in blank.items()}
    found = torch.arange(COUNT * blank[0].numel()).view(COUNT, *blank.shape[1:])
    return (found % 2).to(blank.dtype) if blank.dtype == torch.int64 else found.sin().to(blank.dtype)
def data(*, inputs, targets):
    spec = DataSpec(next(s for s in INPUTS if s.kind == inputs), next(
        s for s in TARGETS if (s.kind if s else "none") == targets))
    given, learned = drawn(spec.inputs.blank()), spec.targets and drawn(spec.targets.blank())
    rows = zip(SPLITS, torch.arange(COUNT).split([6, 3, 3]))
    splits = {n: Split.in_memory(select(given, r), learned if learned is None else select(learned, r), r)
              for n, r in rows}
    return DataBundle(spec, splits, Identity(), "", {})
class Net(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.norm, self.last, self.drop = nn.BatchNorm1d(2), nn.Linear(2, 1), nn.Dropout(dropout)
    def forward(self, *given, **named):
        parts = [value.float().flatten(1) for value in (*given, *named.values()) if value.dim() > 1]
        means = torch.stack([torch.cat(parts, 1).mean(1), torch.cat(parts, 1).square().mean(1)], 1)
        return self.last(self.drop(self.norm(means)))
class Any(Task):
    mixes = True
    def __init__(self, label_smoothing=0.0): pass
    def loss(self, phase, networks, batch):
        if batch.mixed is not None:
            assert batch.mixed.targets.shape == batch.targets.shape and 0 <= batch.mixed.share <= 1
        return LossOutput(forward(networks["model"], batch.inputs).square().mean())
    def predict(self, networks, batch):
        found = forward(networks["model"], batch.inputs)
        return Prediction(found, None, found.square().mean(), batch.indices)
class Unmixed(Any):
    mixes = False
class Smooth(nn.Module):
    def __init__(self, label_smoothing=0.0): super().__init__()
"""
OWN_OPTIONS = {
    "data/unstated": "{_target_: outside.data, batch_size: 2, eval_batch_size: 3, inputs: image, targets: none}",
    "model/net": "{_target_: outside.Net, dropout: 0.0}",
    "model/plain": "{_target_: outside.Net}",
    "task/any": "{_target_: outside.Any, monitor: val/loss}",
    "task/unmixed": "{_target_: outside.Unmixed, monitor: val/loss}",
    "loss/smooth": "{_target_: outside.Smooth, label_smoothing: 0.0}",
}
OPTIONS = sorted(path.stem for path in (builtin_root() / "regularization").glob("[a-z]*.yaml"))
INPUTS = [*kinds.INPUTS, "mesh", "pulse"]
TARGETS = [*kinds.TARGETS, "relief", "labeled"]
MIXED = {"image", "tabular", "pulse"}  # inputs of one shape, of floats
MIXED_TARGETS = {"class", "value", "labels", "mask", "forecast", "relief"}  # one tensor


def refused_key(option: str, inputs: str, targets: str) -> str:
    """The key of regularization that is not defined here, "" where all of the option are."""
    if option in ("mixup", "strong"):
        return "" if inputs in MIXED and targets in MIXED_TARGETS else "mixup"
    if option == "cutmix":
        return "" if inputs == "image" and targets in ("class", "labels") else "cutmix"
    return "random_erasing" if option == "random_erasing" and inputs != "image" else ""


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    folder = tmp_path_factory.mktemp("outside")
    with installed(folder, PACKAGE, OWN_OPTIONS):
        yield Catalog((folder / "conf",))


def composed(catalog: Catalog, *words: str) -> RunConfig:
    given = ["data=unstated", "model=net", "task=any", "loss=smooth", "trainer.epochs=1", "trainer.device=cpu"]
    return load([*given, *words], catalog)


def holding(config: RunConfig, inputs: str, targets: str) -> RunConfig:
    """The same configuration of data of other kinds."""
    arguments = {**config.data.arguments, "inputs": inputs, "targets": targets}
    return replace(config, data=replace(config.data, arguments=arguments))


def train_once(config: RunConfig) -> float:
    """The training loss of the one epoch of a run with batch normalization."""
    setup = prepare_training(assemble(config, ("outside",)))
    rows: list[float] = []
    plan = setup.plan([lambda record: rows.append(getattr(record, "values", {}).get("train/loss", 0.0))])

    class Nowhere:
        def save(self, state: object, best: object = None) -> None:
            """Do nothing."""

    fit(plan, setup.state, Nowhere(), NeverStop())
    assert setup.state.step == 3
    return rows[-1]


PAIRS = list(product(INPUTS, TARGETS))
FEW = spread(INPUTS, TARGETS, 1)  # each kind of inputs and each kind of targets


@pytest.mark.parametrize(
    ("option", "is_whole"), some_of(product(OPTIONS, [False, True]), set(product(OPTIONS, [False])))
)
def test_a_technique_trains_or_is_refused_by_its_name(catalog: Catalog, option: str, is_whole: bool) -> None:
    swa = ["regularization.swa.start_epoch=1"] if option == "swa" else []
    config = composed(catalog, f"regularization={option}", *swa)
    for inputs, targets in PAIRS if is_whole else sorted(FEW):
        key = refused_key(option, inputs, targets)
        if not key:
            assert isfinite(train_once(holding(config, inputs, targets)))
            continue
        with pytest.raises(ConfigError) as refused:
            train_once(holding(config, inputs, targets))
        (problem,) = refused.value.problems
        assert (problem.where, problem.code) == (f"regularization.{key}", "incompatible-data")
        assert problem.remedy in (f"Remove regularization.{key}.", "Use regularization.mixup.")


@pytest.mark.parametrize("key", CHANGES_OF_BATCHES)
def test_changes_of_batches_are_refused_for_every_pair_of_kinds_that_has_no_mixture(catalog: Catalog, key: str) -> None:
    """Of the data themselves; and by what an option states of them, before any code is imported."""
    config = composed(catalog, f"regularization.{key}=0.5")
    for inputs, targets in PAIRS:
        own = holding(config, inputs, targets)
        expected = refused_key(key, inputs, targets)
        found = ""
        try:
            refuse_changes_of_batches(own.regularization, build_data(own, ("outside",)))
        except ConfigError as error:
            found = error.problems[0].where.removeprefix("regularization.")
        assert found == expected, (inputs, targets)
        stated = {**config.tree, "data": {**config.tree["data"], "_inputs_": inputs, "_targets_": targets}}
        if inputs in kinds.INPUTS and targets in kinds.TARGETS:
            named = {problem.where for problem in regularization_problems(stated)}
            assert named == ({f"regularization.{key}"} if expected else set()), (inputs, targets)


@pytest.mark.parametrize(
    ("setting", "other", "where"),
    [
        ("mixup=0.2", "task=unmixed", "mixup"),
        ("cutmix=1", "task=unmixed", "cutmix"),
        ("dropout=0.1", "model=plain", "dropout"),
        ("label_smoothing=0.1", "loss=none", "label_smoothing"),
    ],
)
def test_a_component_that_a_technique_needs_is_named(catalog: Catalog, setting: str, other: str, where: str) -> None:
    with pytest.raises(ConfigError) as refused:
        train_once(composed(catalog, "data.targets=class", other, f"regularization.{setting}"))
    (problem,) = refused.value.problems
    assert (problem.where, problem.code) == (f"regularization.{where}", "not-supported")
