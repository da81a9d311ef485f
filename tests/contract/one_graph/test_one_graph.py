"""`trainer.compile=step`: the training of the eager updates within rounding, exact to the bit where a run resumes."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dlexp.artifacts.graph_cache import cache_folder, find_graph
from dlexp.assemble.experiment import assemble
from dlexp.assemble.one_graph import TRACED_OPTIMIZERS
from dlexp.assemble.training import TrainingSetup, prepare_training
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.engine.loop import group_batches
from dlexp.engine.step import train_step
from dlexp.errors import ConfigError
from dlexp.runtime.tensors import snapshot

WORDS = ("data=iris", "model.hidden=[8]", "model.norm=none", "model.dropout=0", "trainer.device=cpu")
# Everything that an update can have, at once.
FULL = (
    *("model.norm=batch", "model.dropout=0.3", "trainer.accumulate=2", "trainer.clip_norm=1", "optim=sgd"),
    *("regularization.gradient_noise=0.01", "regularization.max_norm=3", "regularization.l2=1e-4"),
)
HAS_COMPILER = shutil.which("g++") is not None and (Path(sysconfig.get_path("include")) / "Python.h").is_file()
needs_compiler = pytest.mark.skipif(not HAS_COMPILER, reason="a graph needs g++ and the headers of Python")
quiet = pytest.mark.filterwarnings("ignore")  # torch's compiler has warnings of its own


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def setup_of(*words: str) -> TrainingSetup:
    return prepare_training(assemble(load([*WORDS, "data.batch_size=16", *words], Catalog())))


def advance(setup: TrainingSetup, until: int) -> None:
    """Make updates until there are `until`, epoch after epoch."""
    state, accumulate = setup.state, setup.experiment.config.trainer.accumulate
    state.train_mode()
    while state.step < until:
        for micro_batches in group_batches(setup.batches.epoch(state.epoch, state.batch), accumulate):
            train_step(setup.experiment.task, state, micro_batches, setup.rules)
            if state.step == until:
                return
        state.finish_epoch()


def weights(setup: TrainingSetup) -> dict[str, Tensor]:
    return setup.experiment.networks.state_dict()


def assert_close(setup: TrainingSetup, other: TrainingSetup) -> None:
    for name, value in weights(setup).items():
        assert torch.allclose(weights(other)[name], value, rtol=1e-5, atol=1e-5), name


@pytest.mark.slow
@needs_compiler
@quiet
def test_a_graph_makes_the_updates_of_eager_code_and_resumes_to_the_bit() -> None:
    eager, graph = setup_of(*FULL), setup_of(*FULL, "trainer.compile=step")
    advance(eager, 40)
    advance(graph, 40)
    saved: Any = snapshot(graph.state.state_dict())
    advance(eager, 100)
    advance(graph, 100)
    assert_close(eager, graph)
    assert graph.graphs is not None
    assert graph.graphs.counts.compiled == 1
    assert graph.graphs.counts.updates > 60
    assert set(graph.graphs.counts.eager) == {"first update", "batch of another size"}

    resumed = setup_of(*FULL, "trainer.compile=step")
    resumed.state.load_state_dict(saved)
    advance(resumed, 100)
    assert all(torch.equal(value, weights(graph)[name]) for name, value in weights(resumed).items())
    assert resumed.graphs is not None
    assert (resumed.graphs.counts.compiled, resumed.graphs.counts.from_cache) == (0, 1)

    _a_loss_that_is_not_finite_changes_nothing(graph)
    _a_damaged_entry_is_not_loaded()


def _a_loss_that_is_not_finite_changes_nothing(graph: TrainingSetup) -> None:
    """The graph says so, and the eager update that follows fails as it always does."""
    from dlexp.errors import Diverged

    state = graph.state
    before = {name: value.clone() for name, value in weights(graph).items()}
    batches = [batch for batch, _ in zip(graph.batches.epoch(state.epoch), range(2), strict=False)]
    batches[0].inputs[0, 0] = float("nan")  # type: ignore[index]
    with pytest.raises(Diverged):
        train_step(graph.experiment.task, state, batches, graph.rules)
    changed = [name for name, value in weights(graph).items() if not torch.equal(value, before[name])]
    assert all("running" in name or "num_batches" in name for name in changed)  # what a snapshot restores


def _a_damaged_entry_is_not_loaded() -> None:
    (entry,) = [path for path in cache_folder().iterdir() if not path.name.startswith(".")]
    assert find_graph(entry.parent, entry.name) is not None
    with (entry / "update.so").open("ab") as file:
        file.write(b"x")
    assert find_graph(entry.parent, entry.name) is None


def test_the_list_of_optimizers_is_what_can_be_traced() -> None:
    options = {path.stem for path in (Path(__file__).parents[3] / "conf" / "optim").glob("[a-z]*.yaml")}
    assert len(options) > 15
    can = set()
    for option in sorted(options):
        try:
            setup_of(f"optim={option}", "trainer.compile=step", "scheduler=constant")
        except ConfigError:
            continue
        can.add(option)
    assert can == set(TRACED_OPTIMIZERS)


@pytest.mark.exhaustive
@needs_compiler
@quiet
@pytest.mark.parametrize("option", TRACED_OPTIMIZERS)
def test_each_optimizer_has_the_weights_of_its_eager_updates(option: str) -> None:
    eager, graph = setup_of(f"optim={option}"), setup_of(f"optim={option}", "trainer.compile=step")
    advance(eager, 100)
    advance(graph, 100)
    assert_close(eager, graph)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.gpu
@quiet
def test_a_graph_on_a_gpu_makes_the_updates_of_eager_code() -> None:
    words = ("trainer.device=cuda", "trainer.precision=fp32")
    eager, graph = setup_of(*words), setup_of(*words, "trainer.compile=step")
    advance(eager, 100)
    advance(graph, 100)
    assert_close(eager, graph)
