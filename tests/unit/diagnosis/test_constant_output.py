"""The loss of the best constant output: the entropy of the classes, the variance of values, and None where none is."""

from __future__ import annotations

import math

import pytest
import torch

from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.diagnosis.measures.constant_output import constant_loss
from dlexp.workflows.doctor.examined import Examined


def found(*words: str) -> tuple[float | None, Examined]:
    examined = Examined.prepared(load((*words, "trainer.device=cpu"), Catalog(())), (), None)
    before = {name: value.clone() for name, value in examined.networks.state_dict().items()}
    batches = examined.batches_of("train")
    loss = constant_loss(examined.experiment.task, examined.networks, batches, examined.experiment.config.seed)
    assert all(torch.equal(value, before[name]) for name, value in examined.networks.state_dict().items())
    assert all(module.training for module in examined.networks.modules())
    assert all(parameter.grad is None for parameter in examined.networks.parameters())
    return loss, examined


def test_classes_have_the_entropy_of_their_shares() -> None:
    loss, examined = found("data=wine", "model=mlp", "model.hidden=[8]")
    targets = torch.cat([batch.targets for batch in examined.batches_of("train")])  # type: ignore[misc]
    shares = torch.bincount(targets) / len(targets)
    assert loss == pytest.approx(float(-(shares * shares.log()).sum()), abs=1e-4)
    assert loss is not None and loss < math.log(3)


def test_standardized_values_have_their_variance() -> None:
    loss, _ = found("data=diabetes", "model=mlp", "model.hidden=[8]", "loss=mse")
    assert loss == pytest.approx(1.0, abs=0.02)


def test_a_task_that_asks_for_more_than_outputs_has_no_such_number() -> None:
    loss, _ = found("data=reverse", "data.num_samples=60", "model=seq2seq_gru", "model.units=8")
    assert loss is None


def test_tokens_have_the_entropy_of_their_shares() -> None:
    loss, examined = found("data=entities", "data.num_samples=60", "model=lstm", "model.units=8")
    assert loss is not None and 0 < loss < math.log(examined.experiment.bundle.spec.num_outputs)
