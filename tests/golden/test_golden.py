"""Every shipped experiment, rendered and started: a diff of these files shows what a change really changed.

`python tests/golden/test_golden.py` writes them anew; look at the diff before you commit it.
"""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path

import pytest

from dlexp.assemble.experiment import assemble
from dlexp.assemble.training import prepare_training
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.saved import to_yaml
from dlexp.engine.step import train_step

HERE = Path(__file__).resolve().parent
NAMES = ("default", *Catalog().options("experiment"))
TEXT_OF = (3, 11)  # the Python with whose text the losses of data=topics were written
UPDATES = 2  # rounding differs between processors and grows with every further update


def words_of(name: str) -> list[str]:
    return [] if name == "default" else [f"experiment={name}"]


def first_losses(name: str) -> list[float]:
    """The training loss after each of the first updates, in fp32 on the CPU."""
    experiment = assemble(load([*words_of(name), "trainer.precision=fp32", "trainer.device=cpu"], Catalog()))
    setup = prepare_training(experiment)
    experiment.networks.train()
    losses, total, weight = [], 0.0, 0.0
    for batch in islice(setup.batches.epoch(0), UPDATES):
        train_step(experiment.task, setup.state, [batch], setup.rules)
        count = float(setup.state.sums.count)  # samples, or tokens
        seen = setup.state.sums.means()["loss"] * count
        losses.append((seen - total) / (count - weight))
        total, weight = seen, count
    return losses


def test_every_experiment_has_a_golden_file() -> None:
    assert len(NAMES) == 35
    assert {path.stem for path in HERE.glob("*.yaml")} == set(NAMES)
    assert set(json.loads((HERE / "first_losses.json").read_text())) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_configuration_renders_as_before(name: str) -> None:
    assert to_yaml(load(words_of(name), Catalog())) == (HERE / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_first_losses_are_as_before(name: str) -> None:
    if name.startswith("topics") and sys.version_info[:2] != TEXT_OF:
        pytest.skip("this Python comes with another text")
    before = json.loads((HERE / "first_losses.json").read_text())[name]
    assert first_losses(name) == pytest.approx(before, rel=5e-3)


if __name__ == "__main__":
    for option in NAMES:
        (HERE / f"{option}.yaml").write_text(to_yaml(load(words_of(option), Catalog())))
    (HERE / "first_losses.json").write_text(json.dumps({n: first_losses(n) for n in NAMES}, indent=2) + "\n")
