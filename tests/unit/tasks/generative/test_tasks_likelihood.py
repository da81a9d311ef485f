"""Maximum likelihood: what the loss is, and what a run of a flow leaves."""

from __future__ import annotations

import csv
import json
from math import log
from pathlib import Path

import pytest
import torch
from outside_package import dlexp
from torch import nn

from dlexp.models.generative.flow import flow
from dlexp.specs import ClassSpec, DataSpec, ImageSpec, TableSpec
from dlexp.tasks.generative.base import Encodes, Sampling
from dlexp.tasks.generative.likelihood import Likelihood
from dlexp.types import Batch

PIXELS = ImageSpec(1, 2, 2, (0.0, 1.0), 5)
WORDS = ("model=flow", "data=two_moons", "data.num_samples=200", "model.couplings=2", "model.hidden=[8]")


def batch_of(inputs: torch.Tensor, classes: int = 0) -> Batch:
    targets = torch.arange(len(inputs)) % classes if classes else None
    return Batch(inputs, targets, torch.arange(len(inputs)))


def test_of_a_table_the_loss_is_the_negative_log_density_in_nats_of_a_sample() -> None:
    task = Likelihood(spec=DataSpec(TableSpec(3), None), loss=nn.Identity())
    networks, inputs = {"model": flow(input_shape=(3,), hidden=(4,))}, torch.randn(6, 3)
    expected = -torch.distributions.Normal(0.0, 1.0).log_prob(inputs).sum(1)
    found = task.predict(networks, batch_of(inputs))
    assert torch.allclose(found.extra["nll"], expected, atol=1e-5)
    assert torch.allclose(found.extra["bits_per_dim"], expected / (3 * log(2)), atol=1e-5)
    value = task.loss("train", networks, batch_of(inputs)).value.detach()
    assert float(value) == pytest.approx(float(expected.mean()), abs=1e-5)


def test_of_pixels_it_bounds_the_probability_of_their_levels() -> None:
    """A network that knew nothing would give each of 5 levels a fifth: log2(5) bits for each pixel."""

    class Uniform(nn.Module):
        num_classes = 0

        def log_density(self, inputs: torch.Tensor, places: torch.Tensor, classes: object = None) -> torch.Tensor:
            assert float(places.max()) > 0.5 > float(places.min())
            return torch.zeros(len(inputs))

        def to_noise(self, *given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            raise NotImplementedError

        def from_noise(self, *given: torch.Tensor) -> torch.Tensor:
            raise NotImplementedError

    task = Likelihood(spec=DataSpec(PIXELS, None), loss=nn.Identity())
    found = task.predict({"model": Uniform()}, batch_of(torch.rand(8, 1, 2, 2)))
    assert torch.allclose(found.extra["bits_per_dim"], torch.full((8,), log(5) / log(2)))


def test_samples_and_latents_lead_to_each_other_on_the_levels() -> None:
    task = Likelihood(spec=DataSpec(PIXELS, ClassSpec(("a", "b"))), loss=nn.Identity())
    model = flow(input_shape=PIXELS.shape, levels=5, num_classes=2, conditional=True, hidden=(4,))
    networks, inputs = {"model": model}, torch.randint(0, 5, (6, 1, 2, 2)) / 4
    assert isinstance(task, Encodes)
    assert task.options(networks) == {"classes"}
    latents = task.encoded(networks, batch_of(inputs, 2))
    assert latents.shape == (6, *task.noise_shape(networks))
    classes = torch.eye(2)[torch.arange(6) % 2]
    assert torch.equal(task.decoded(networks, latents, Sampling(0, torch.arange(6), classes)), inputs)


def test_a_run_of_a_flow_is_trained_evaluated_and_predicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dlexp("train", *WORDS, "trainer.epochs=3", "--run-dir", "run", "-q")
    preprocessing = json.loads(Path("run/preprocessing.json").read_text())
    assert preprocessing["spec"]["inputs"]["kind"] == "tabular"
    dlexp("evaluate", "run", "-q")
    report = json.loads(Path("run/eval/test/report.json").read_text())
    assert 1 < report["metrics"]["nll"] < 4
    Path("new.csv").write_text("x,y\n0,1\n30,-30\n")
    dlexp("predict", "run", "new.csv", "--out", "found.csv", "-q")
    near, far = (float(row["nll"]) for row in csv.DictReader(Path("found.csv").read_text().splitlines()))
    assert far > near + 100
