"""What an autoencoder is trained on and evaluated by: noise and sparsity are of training alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch
from outside_package import dlexp
from torch import nn

from dlexp.errors import ConfigError
from dlexp.models.generative.autoencoder import autoencoder
from dlexp.specs import DataSpec, ImageSpec, TableSpec
from dlexp.tasks.generative.base import Sampling
from dlexp.tasks.generative.reconstruction import Reconstruction
from dlexp.types import Batch

SPEC = DataSpec(TableSpec(4), None)
INPUTS = torch.linspace(-1, 1, 40).view(10, 4)
BATCH = Batch(INPUTS, None, torch.arange(10))


class Echo(nn.Module):
    """Puts out what it is given, and keeps it."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale, self.given = scale, torch.empty(0)

    def encode(self, inputs: torch.Tensor) -> torch.Tensor:
        self.given = inputs
        return self.scale * inputs

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return latents

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.decode(self.encode(inputs))


def task_of(spec: DataSpec = SPEC, **options: Any) -> Reconstruction:
    return Reconstruction(spec=spec, loss=nn.Identity(), **options)


def test_the_error_of_a_sample_is_a_mean_over_its_numbers() -> None:
    found = task_of().predict({"model": Echo(0.5)}, BATCH)
    assert torch.allclose(found.extra["reconstruction"], (0.5 * INPUTS).square().mean(1))
    loss = task_of().loss("train", {"model": Echo(0.5)}, BATCH)
    assert float(loss.value) == pytest.approx(float(found.loss)) == pytest.approx(float((0.5 * INPUTS).square().mean()))


@pytest.mark.parametrize("corruption", ["gaussian", "masking"])
def test_noise_is_added_in_training_and_the_clean_input_is_the_target(corruption: str) -> None:
    network, task = Echo(), task_of(corruption=corruption, corruption_level=0.5)
    torch.manual_seed(0)
    value = task.loss("train", {"model": network}, BATCH).value
    change = network.given - INPUTS
    assert float(value) == pytest.approx(float(change.square().mean()))
    if corruption == "masking":
        is_masked = network.given == 0
        assert torch.equal(network.given[~is_masked], INPUTS[~is_masked])
        assert 0.25 < float(is_masked.float().mean()) < 0.75
    else:
        assert 0.3 < float(change.std()) < 0.7
    assert float(task.predict({"model": network}, BATCH).loss) == 0
    assert torch.equal(network.given, INPUTS)


def test_sparsity_costs_the_sizes_of_latents_or_the_distance_of_their_means() -> None:
    sizes = task_of(sparsity="l1", sparsity_weight=0.1).loss("train", {"model": Echo()}, BATCH)
    assert float(sizes.parts["sparsity"]) == pytest.approx(float(INPUTS.abs().sum(1).mean()))
    assert float(sizes.value) == pytest.approx(0.1 * float(sizes.parts["sparsity"]))
    half = Batch(torch.full((6, 4), 0.5), None, torch.arange(6))
    apart = task_of(sparsity="kl", sparsity_weight=1.0, sparsity_target=0.1).loss("train", {"model": Echo()}, half)
    expected = 4 * (0.1 * log(0.1 / 0.5) + 0.9 * log(0.9 / 0.5))
    assert float(apart.parts["sparsity"]) == pytest.approx(expected, abs=1e-5)
    met = Batch(torch.full((6, 4), 0.1), None, torch.arange(6))
    task = task_of(sparsity="kl", sparsity_target=0.1)
    assert float(task.loss("train", {"model": Echo()}, met).value) == pytest.approx(0, abs=1e-6)


def test_latents_that_are_no_activations_are_refused_before_training() -> None:
    with pytest.raises(ConfigError) as refused:
        task_of(sparsity="kl").predict({"model": Echo()}, BATCH)
    problem = refused.value.problems[0]
    assert (problem.where, problem.code, problem.remedy) == (
        "task.sparsity",
        "incompatible-data",
        "Set model.latent_activation=sigmoid",
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"corruption": "masking", "corruption_level": 1.5}, "must be at most 1"),
        ({"corruption": "rain"}, "available: none, gaussian, masking"),
        ({"sparsity": "l2"}, "available: none, l1, kl"),
    ],
)
def test_what_does_not_fit_is_refused(options: Mapping[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        task_of(**options)


def test_latents_lead_back_to_what_forward_puts_out() -> None:
    spec = DataSpec(ImageSpec(1, 8, 8, (0.0, 1.0), 17), None)
    network = autoencoder(input_shape=(1, 8, 8), hidden=(8,), latent=3)
    batch = Batch(torch.rand(5, 1, 8, 8), None, torch.arange(5))
    task, networks = task_of(spec), {"model": network}
    with torch.no_grad():
        latents = task.encoded(networks, batch)
        made = task.decoded(networks, latents, Sampling(0, batch.indices))
        assert torch.equal(made, task.predict(networks, batch).outputs)
    assert latents.shape == (5, 3)
    assert task.noise_shape(networks) is None


def test_the_mean_of_the_training_samples_is_the_error_to_beat() -> None:
    training = Batch(torch.tensor([[0.0, 2.0], [2.0, 4.0]]), None, torch.arange(2))
    other = Batch(torch.tensor([[1.0, 5.0]]), None, torch.arange(1))
    (found,) = task_of().baselines([training], [other]).values()
    assert found == {"loss": 2.0, "reconstruction": 2.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("autoencoder")
    rows = [f"{n % 7},{(n % 7) * 2},{'ab'[n % 2]},{n % 3}" for n in range(90)]
    (folder / "table.csv").write_text("\n".join(["x,y,kind,label", *rows]))
    words = (f"data.path={folder / 'table.csv'}", "data.target=label", "model.hidden=[8]", "model.latent=2")
    more = ("task.corruption=masking", "task.sparsity=l1", "trainer.epochs=2", "trainer.test=true")
    dlexp("train", "model=autoencoder", "data=csv", *words, *more, "--run-dir", str(folder / "run"), "-q")
    return folder / "run"


def test_a_table_is_reconstructed_and_its_new_rows_have_errors(run: Path, tmp_path: Path) -> None:
    report = json.loads((run / "eval/test/report.json").read_text())
    assert set(report["metrics"]) == {"loss", "reconstruction", "share_above_threshold"}
    assert "reconstruction" in report["intervals"]
    assert "mean of the training samples" in report["baselines"]
    assert "reconstructions" not in report["figures"]  # a table is no picture
    header = (run / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"train/reconstruction", "train/sparsity"} < set(header)
    (tmp_path / "new.csv").write_text("x,y,kind\n3,6,a\n900,-900,b\n")
    dlexp("predict", str(run), str(tmp_path / "new.csv"), "--out", str(tmp_path / "found.csv"), "-q")
    with (tmp_path / "found.csv").open() as file:
        usual, odd = csv.DictReader(file)
    assert float(odd["reconstruction"]) > 100 * float(usual["reconstruction"])
    assert {"z0", "z1"} < set(usual)
