"""Settings that only change how a step is computed: its gradient stays the same within the rounding that they bring."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dlexp.assemble.experiment import assemble
from dlexp.assemble.training import prepare_training
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.engine.step import train_step

CNN = ["model=simple_cnn", "model.channels=[8,8]", "model.fc=32", "model.dropout=0", "trainer.device=cpu"]


def gradient(*words: str) -> tuple[Tensor, float]:
    """(the gradient of the first update as one vector, its loss); weights and batch are those of every other call."""
    experiment = assemble(load([*CNN, "trainer.precision=fp32", *words], Catalog()))
    setup = prepare_training(experiment)
    setup.state.networks.train()
    train_step(experiment.task, setup.state, [next(setup.batches.epoch(0))], setup.rules)
    found = [p.grad.flatten() for p in experiment.networks.parameters() if p.grad is not None]
    assert all(part.dtype == torch.float32 for part in found)
    return torch.cat(found).double(), setup.state.sums.means()["loss"]


@pytest.mark.parametrize(
    ("words", "bound"),
    [
        # bf16 rounds to 8 bits, 2**-9 at each of a dozen roundings between the loss and the first layer; and where two
        # pixels of a pool are nearly equal, the other one gets the gradient.
        (("trainer.precision=bf16",), 0.08),
        # fp32 rounds to 24 bits; the sums are taken in another order.
        (("trainer.channels_last=false",), 1e-5),
    ],
    ids=["bf16", "nchw"],
)
def test_the_gradient_is_that_of_fp32_within_rounding(words: tuple[str, ...], bound: float) -> None:
    exact, loss = gradient()
    found, its = gradient(*words)
    assert its == pytest.approx(loss, rel=bound)
    assert float((found - exact).norm() / exact.norm()) < bound
    if "bf16" in words[0]:
        assert not torch.equal(found, exact)  # it was computed in bf16


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_recomputed_activations_give_the_bits_of_kept_ones(precision: str) -> None:
    words = (f"trainer.precision={precision}", "model.dropout=0.5")
    exact, loss = gradient(*words)
    found, its = gradient(*words, "trainer.checkpoint_activations=true")
    assert torch.equal(found, exact)
    assert its == loss
