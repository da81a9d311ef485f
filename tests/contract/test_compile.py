"""`trainer.compile`: the same training within rounding, and weights under the same names."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

import pytest
import torch

from dlexp.assemble.experiment import Experiment, assemble
from dlexp.assemble.training import prepare_training
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.engine.evaluate import evaluate
from dlexp.engine.state import load_weights
from dlexp.engine.step import train_step

# Not AdamW: it makes whole steps of the rounding in a gradient that is zero, as that of a bias before a norm is.
WORDS = ["optim=sgd", "data=iris", "model.hidden=[4]", "model.norm=batch", "model.dropout=0", "trainer.device=cpu"]
HAS_COMPILER = shutil.which("g++") is not None and (Path(sysconfig.get_path("include")) / "Python.h").is_file()


def trained(*words: str, updates: int = 3) -> tuple[Experiment, list[float]]:
    """An experiment after some updates, and the running loss after each."""
    experiment = assemble(load([*WORDS, *words], Catalog()))
    setup = prepare_training(experiment)
    state, batches, losses = setup.state, setup.batches.epoch(0), []
    state.networks.train()
    for _ in range(updates):
        train_step(experiment.task, state, [next(batches)], setup.rules)
        losses.append(state.sums.means()["loss"])
    return experiment, losses


@pytest.mark.slow
@pytest.mark.skipif(not HAS_COMPILER, reason="torch.compile needs g++ and the headers of Python")
@pytest.mark.filterwarnings("ignore")  # torch's compiler has some of its own
def test_compiled_training_is_that_of_the_eager_network_within_rounding() -> None:
    eager, expected = trained()
    compiled, losses = trained("trainer.compile=true")
    assert compiled.settings.compile_mode == "default"
    assert losses == pytest.approx(expected, rel=1e-5)
    ours, its = eager.networks.state_dict(), compiled.networks.state_dict()
    assert list(ours) == list(its)
    for name, value in ours.items():
        assert torch.allclose(its[name], value, rtol=1e-4, atol=1e-5), name
    # Its weights load into a network that is not compiled, and give the metrics of the compiled one.
    load_weights(eager.networks, {name: value.clone() for name, value in its.items()})
    found = [evaluate(e.task, e.networks, e.split("val"), e.precision, seed=0).metrics for e in (eager, compiled)]
    assert found[0] == pytest.approx(found[1], rel=1e-5)
