"""What is recorded of an update, and what no graph can hold: without a compiler."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from refusals import refused
from torch import Tensor, nn

from dlexp.artifacts.graph_cache import find_graph, keep_graph, working_folder
from dlexp.assemble.experiment import assemble
from dlexp.assemble.training import TrainingSetup, prepare_training
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.engine.one_graph.draws import DrawOutside, move_draws_out
from dlexp.engine.one_graph.phase_graphs import network_tensors, record
from dlexp.engine.one_graph.recording import Recording, Untraceable
from dlexp.engine.one_graph.tensor_numbers import TensorNumbers
from dlexp.engine.one_graph.update import PhaseUpdate, flattened, tensors_changed_by
from dlexp.engine.step import train_step
from dlexp.errors import ConfigError
from dlexp.optim.plain_steps import state_tensors

WORDS = ("data=iris", "model.hidden=[4]", "model.norm=none", "model.dropout=0", "trainer.device=cpu")


def prepared(*words: str) -> TrainingSetup:
    """A training after its first update."""
    setup = prepare_training(assemble(load([*WORDS, *words], Catalog())))
    setup.state.train_mode()
    train_step(setup.experiment.task, setup.state, [next(setup.batches.epoch(0))], setup.rules)
    return setup


def fingerprint(setup: TrainingSetup) -> str:
    """That of the next update."""
    batches = [next(setup.batches.epoch(1))]
    update = PhaseUpdate(setup.experiment.task, setup.state, batches, replace(setup.rules, graphs=None), ("train", 0))
    tensors, rebuilt = flattened(batches)
    recording = record(update, tensors_changed_by(update, network_tensors(setup.state.networks)), tensors, rebuilt)[2]
    assert recording is not None
    return recording.fingerprint()


def test_a_recording_leaves_the_state_as_it_was_and_does_not_depend_on_its_values() -> None:
    setup = prepared()
    state = setup.state
    before = {name: value.clone() for name, value in state.networks.state_dict().items()}
    moments = [value.clone() for value in state_tensors(state.optimizers["train"])]
    first = fingerprint(setup)
    assert all(torch.equal(before[name], value) for name, value in state.networks.state_dict().items())
    assert all(map(torch.equal, moments, state_tensors(state.optimizers["train"])))
    state.optimizers["train"].param_groups[0]["lr"] = 0.5  # another rate is no other graph
    train_step(setup.experiment.task, state, [next(setup.batches.epoch(0))], setup.rules)
    assert fingerprint(setup) == first
    assert fingerprint(prepared("optim.lr=0.1", "seed=7")) == first


@pytest.mark.parametrize("word", ["optim.weight_decay=0.5", "optim=sgd", "model.hidden=[5]", "trainer.clip_norm=1.0"])
def test_another_computation_has_another_fingerprint(word: str) -> None:
    assert fingerprint(prepared(word)) != fingerprint(prepared())


def test_values_that_a_computation_finds_elsewhere_are_part_of_it() -> None:
    def found(weights: Tensor) -> str:
        x = torch.ones(3)
        with (recording := Recording([x])):
            (x * weights).sum()
        return recording.fingerprint()

    assert found(torch.tensor([1.0, 2.0, 3.0])) == found(torch.tensor([1.0, 2.0, 3.0]))
    assert found(torch.tensor([1.0, 2.0, 3.0])) != found(torch.tensor([1.0, 2.0, 4.0]))


def test_what_reads_values_cannot_be_a_graph() -> None:
    x, kept = torch.ones(3), torch.zeros(3)
    with pytest.raises(Untraceable, match="reads a number"), Recording([x]):
        x.sum().item()
    with pytest.raises(Untraceable, match="shape"), Recording([x]):
        x[x > 0]
    with pytest.raises(Untraceable, match="belongs neither"), Recording([x]):
        kept.add(x)
        kept.add_(x)


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (("optim=lbfgs",), "optim=lbfgs"),
        (("optim=sam",), "optim=sam"),
        (("optim=muon",), "optim=muon"),
        (("optim=lamb",), "optim=lamb"),
        (("trainer.accumulate=17",), "trainer.accumulate"),
        (("scheduler=onecycle",), "momentum"),
        (("trainer.precision=fp16",), "fp16"),
    ],
)
def test_what_cannot_be_one_graph_is_refused_before_training(words: tuple[str, ...], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare_training(assemble(load([*WORDS, "trainer.compile=step", *words], Catalog())))
    refused(caught.value, "cannot-combine", "trainer.compile", "Set ")
    assert where in str(caught.value)


def test_numbers_may_be_tensors() -> None:
    x, y, rate = torch.arange(3.0), torch.ones(3), torch.tensor(0.25, dtype=torch.float64)
    expected = x.clone().add_(y, alpha=-0.25).addcdiv_(y, y + 1, value=0.25).lerp_(y, 0.25)
    with TensorNumbers():
        found = x.clone().add_(y, alpha=-rate).addcdiv_(y, y + 1, value=rate).lerp_(y, rate)  # type: ignore[arg-type]
        count = 1 - 0.999 ** torch.tensor(1.0)
    assert torch.allclose(found, expected)
    assert float(count) == pytest.approx(1 - 0.999, rel=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_dropout_is_drawn_outside_with_the_bits_of_the_eager_one() -> None:
    from torch.fx.experimental.proxy_tensor import make_fx

    x, layer = torch.randn(64, 8), nn.Dropout(0.5)
    traced = make_fx(lambda given: layer(given), tracing_mode="real")(x)
    draws = move_draws_out(traced.graph)
    traced.recompile()
    start = torch.get_rng_state()
    expected = layer(x)
    torch.set_rng_state(start)
    assert torch.equal(traced(x, *[draw() for draw in draws]), expected)
    assert [DrawOutside.from_plain(draw.to_plain()) for draw in draws] == draws


def test_a_compiler_that_fails_leaves_the_updates_eager_and_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dlexp.engine.one_graph import phase_graphs

    def fails(*_: object) -> None:
        raise RuntimeError("g++ was ended by Ctrl-C\n\nCommand:")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(phase_graphs, "compile_update", fails)
    told: list[str] = []
    runs = [prepare_training(assemble(load([*WORDS, *words], Catalog()))) for words in ((), ("trainer.compile=step",))]
    assert runs[1].graphs is not None
    runs[1].graphs.say = told.append
    for setup in runs:
        setup.state.train_mode()
        for batch in islice(setup.batches.epoch(0), 3):
            train_step(setup.experiment.task, setup.state, [batch], setup.rules)
    eager, graph = (setup.experiment.networks.state_dict() for setup in runs)
    assert all(torch.equal(value, graph[name]) for name, value in eager.items())
    counts = runs[1].graphs.counts
    assert counts.updates == 0 and sum(counts.eager.values()) == 3
    assert any("compiling failed: RuntimeError: g++ was ended by Ctrl-C" in text for text in told)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".new-")]


def test_an_entry_is_its_library_and_its_calls(tmp_path: Path) -> None:
    working = working_folder(tmp_path)
    (working / "update.so").write_bytes(b"library")
    (working / "update.wrapper.json").write_bytes(b"calls")
    library = keep_graph(tmp_path, "name", working, working / "update.so", {})
    found = find_graph(tmp_path, "name")
    assert found is not None and found[0] == library
    (tmp_path / "name" / "update.json").write_bytes(b"other")
    assert find_graph(tmp_path, "name") is None


def test_what_a_killed_compilation_left_is_removed_after_a_day(tmp_path: Path) -> None:
    old, other = working_folder(tmp_path), working_folder(tmp_path)
    os.utime(old, (0, 0))
    working = working_folder(tmp_path)
    (working / "update.so").write_bytes(b"library")
    keep_graph(tmp_path, "name", working, working / "update.so", {})
    assert not old.exists() and other.exists()
