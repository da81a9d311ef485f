"""The bound of a variational autoencoder against closed forms, and what neither batch nor order may change."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from math import log, pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from outside_package import dlexp
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from dlexp.artifacts.files.reading import is_file
from dlexp.errors import ConfigError
from dlexp.metrics.generative.latents import KL_OF_LATENTS, LATENTS, LatentUse
from dlexp.models.generative.vae import VariationalAutoencoder, vae
from dlexp.specs import ClassSpec, DataSpec, ImageSpec, TableSpec
from dlexp.tasks.generative.base import Encodes, Sampling, noise
from dlexp.tasks.generative.output_distributions import Bernoulli, Gaussian
from dlexp.tasks.generative.variational import VariationalAutoencoding
from dlexp.types import Batch
from dlexp.workflows.compare.compare import CompareOptions, compare

PIXELS = DataSpec(ImageSpec(1, 4, 4, (0.0, 1.0), 17), ClassSpec(("a", "b", "c"), (6, 3, 1)))
TABLE = DataSpec(TableSpec(3), None)
WORDS = ("model=vae", "data=digits", "model.hidden=[8]", "model.latent=3", "data.batch_size=256", "trainer.epochs=2")


def task_of(spec: DataSpec, **options: Any) -> VariationalAutoencoding:
    return VariationalAutoencoding(spec=spec, loss=nn.Identity(), **options)


def networks_of(task: VariationalAutoencoding, conditional: bool = False) -> dict[str, nn.Module]:
    torch.manual_seed(1)
    made = vae(
        input_shape=task.spec.inputs.shape, num_classes=task.num_classes, hidden=(8,), latent=5, conditional=conditional
    )
    return {"model": made, **task.own_networks()}


def batch_of(spec: DataSpec, count: int = 6) -> Batch:
    torch.manual_seed(2)
    targets = None if spec.targets is None else torch.arange(count) % 3
    return Batch(torch.rand(count, *spec.inputs.shape), targets, torch.arange(count))


@pytest.fixture
def pixels() -> tuple[VariationalAutoencoding, dict[str, nn.Module], Batch]:
    task = task_of(PIXELS)
    return task, networks_of(task), batch_of(PIXELS)


def test_the_kl_is_that_of_two_normal_distributions(
    pixels: tuple[VariationalAutoencoding, dict[str, nn.Module], Batch],
) -> None:
    task, networks, batch = pixels
    network = networks["model"]
    assert isinstance(network, VariationalAutoencoder)
    with torch.no_grad():
        mean, log_variance = network.encode(torch.as_tensor(batch.inputs))
        found = task.predict(networks, batch).extra
    deviation = (0.5 * log_variance).exp()
    expected = kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0))
    assert torch.allclose(found[KL_OF_LATENTS], expected, atol=1e-6)
    by_hand = 0.5 * (mean[0, 0] ** 2 + deviation[0, 0] ** 2) - deviation[0, 0].log() - 0.5
    assert float(found[KL_OF_LATENTS][0, 0]) == pytest.approx(float(by_hand), abs=1e-6)
    assert torch.allclose(found["kl"], expected.sum(1), atol=1e-5)
    assert torch.equal(found[LATENTS], mean)


def test_surprises_are_sums_over_the_numbers_of_a_sample() -> None:
    outputs, inputs = torch.randn(4, 1, 3, 3), torch.rand(4, 1, 3, 3)
    share = outputs.sigmoid()
    each = -(inputs * share.log() + (1 - inputs) * (1 - share).log())
    assert torch.allclose(Bernoulli().surprise(outputs, inputs), each.sum((1, 2, 3)), atol=1e-4)
    assert torch.equal(Bernoulli().mean(outputs), share)
    found = Gaussian(torch.tensor([0.5 * log(0.25)])).surprise(outputs, inputs)
    assert torch.allclose(found, -Normal(outputs, 0.5).log_prob(inputs).sum((1, 2, 3)), atol=1e-4)


def test_the_loss_of_training_is_the_bound_with_the_weights_of_the_moment() -> None:
    batch, networks = batch_of(PIXELS), networks_of(task_of(PIXELS))
    found = {}
    for name, options in (
        ("plain", {}),
        ("beta", {"beta": 3.0}),
        ("warm", {"kl_warmup_epochs": 4}),
        ("bits", {"free_bits": 100.0}),
    ):
        task = task_of(PIXELS, **options)
        task.begin_phase(epoch=1, step=10)
        torch.manual_seed(3)
        found[name] = task.loss("train", networks, batch)
    plain = found["plain"]
    reconstruction, kl = float(plain.parts["reconstruction"]), float(plain.parts["kl"])
    assert float(plain.value.detach()) == pytest.approx(reconstruction + kl, abs=1e-4)
    assert float(found["beta"].value.detach()) == pytest.approx(reconstruction + 3 * kl, abs=1e-4)
    assert float(found["warm"].value.detach()) == pytest.approx(reconstruction + kl / 4, abs=1e-4)
    assert float(found["bits"].value.detach()) == pytest.approx(reconstruction + 5 * 100, abs=1e-3)
    late = task_of(PIXELS, kl_warmup_epochs=4)
    late.begin_phase(epoch=9, step=0)
    torch.manual_seed(3)
    assert torch.equal(late.loss("train", networks, batch).value, plain.value)


def test_the_size_of_a_batch_does_not_change_the_scale_of_the_gradient() -> None:
    """The same samples twice: a sum over the batch would double the gradient."""
    task = task_of(TABLE, variance=0.5)
    batch = batch_of(TABLE)
    inputs, networks = torch.as_tensor(batch.inputs), networks_of(task)
    norms = []
    for copies in (1, 8):
        torch.manual_seed(0)
        given = Batch(inputs.repeat(copies, 1), None, torch.arange(copies * len(inputs)))
        networks["model"].zero_grad()
        task.loss("train", networks, given).value.backward()
        gradients = [weight.grad.flatten() for weight in networks["model"].parameters() if weight.grad is not None]
        norms.append(float(torch.cat(gradients).norm()))
    assert norms[1] == pytest.approx(norms[0], rel=0.5)


def test_an_evaluation_is_without_the_weights_of_training() -> None:
    batch, networks = batch_of(PIXELS), networks_of(task_of(PIXELS))
    losses = []
    for options in ({}, {"beta": 5.0, "kl_warmup_epochs": 3, "free_bits": 2.0}):
        with torch.no_grad():
            found = task_of(PIXELS, **options).predict(networks, batch)
        assert torch.allclose(found.extra["loss"], found.extra["reconstruction"] + found.extra["kl"])
        losses.append(found.loss)
    assert torch.equal(*losses)


def test_batch_order_and_generator_change_no_value_of_a_sample(
    pixels: tuple[VariationalAutoencoding, dict[str, nn.Module], Batch],
) -> None:
    task, networks, batch = pixels
    with torch.no_grad():
        whole = task.predict(networks, batch)
        torch.manual_seed(99)
        turned = torch.as_tensor(batch.inputs).flip(0)[:2]
        part = task.predict(networks, Batch(turned, None, torch.tensor([70, 71])))
    for name in ("loss", "reconstruction", "kl", "iwae", LATENTS):
        assert torch.allclose(part.extra[name], whole.extra[name].flip(0)[:2], atol=1e-5), name
    assert torch.allclose(part.outputs, whole.outputs.flip(0)[:2], atol=1e-6)


def test_the_importance_weighted_bound_is_exact_where_the_posterior_is() -> None:
    """x = z + noise of variance 1, z standard normal: the posterior is N(x / 2, 1 / 2), and x ~ N(0, 2)."""

    class Exact(nn.Module):
        latent, num_classes = 1, 0

        def encode(self, inputs: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return inputs / 2, torch.full_like(inputs, log(0.5))

        def decode(self, latents: Tensor, classes: Tensor | None = None) -> Tensor:
            return latents

        def forward(self, inputs: Tensor) -> Tensor:
            return inputs / 2

    class Wide(Exact):
        def encode(self, inputs: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return torch.zeros_like(inputs), torch.zeros_like(inputs)

    inputs = torch.randn(400, 1)
    truth = -Normal(0.0, 2**0.5).log_prob(inputs)[:, 0]
    task = task_of(DataSpec(TableSpec(1), None), variance=1.0, importance_samples=50)
    found = {}
    for network in (Exact(), Wide()):
        network.register_parameter("unused", nn.Parameter(torch.zeros(1)))
        found[type(network)] = task.predict({"model": network}, Batch(inputs, None, torch.arange(400))).extra
    assert torch.allclose(found[Exact]["iwae"], truth, atol=1e-4)
    wide = found[Wide]
    assert float(truth.mean()) <= float(wide["iwae"].mean()) + 0.05 < float(wide["loss"].mean())
    assert float(wide["iwae"].mean()) == pytest.approx(float(truth.mean()), abs=0.1)


def test_a_learned_deviation_is_trained_towards_the_error_that_is_left() -> None:
    task = task_of(TABLE)
    assert set(task.phases["train"].networks) == {"model", "likelihood"}
    log_deviation = next(task.own_networks()["likelihood"].parameters())
    outputs, inputs = torch.zeros(2000, 3), 0.2 * torch.randn(2000, 3)
    log_deviation.data.fill_(float(inputs.square().mean().sqrt().log()))
    Gaussian(log_deviation).surprise(outputs, inputs).mean().backward()
    assert float(torch.as_tensor(log_deviation.grad)) == pytest.approx(0, abs=1e-4)
    log_deviation.data.add_(0.1)
    Gaussian(log_deviation).surprise(outputs, inputs).mean().backward()
    assert float(torch.as_tensor(log_deviation.grad)) > 0.1
    exact = Gaussian(torch.tensor([-50.0])).surprise(outputs, outputs)
    assert exact.isfinite().all()
    assert "likelihood" not in task_of(TABLE, variance=1.0).own_networks()


def test_what_a_likelihood_reaches_without_a_network() -> None:
    training = Batch(torch.tensor([[0.0, 1.0], [1.0, 1.0]]).view(2, 1, 1, 2), None, torch.arange(2))
    held_out = Batch(torch.tensor([[1.0, 0.5]]).view(1, 1, 1, 2), None, torch.arange(1))
    found = Bernoulli().baselines([training], [held_out])
    share = 2.5 / 3  # of the second pixel, with half a sample at both ends
    assert found["independent pixels"]["loss"] == pytest.approx(-log(0.5) - 0.5 * log(share) - 0.5 * log(1 - share))
    assert found["entropy of the pixels"]["reconstruction"] == pytest.approx(log(2))
    table = Batch(torch.tensor([[-1.0], [1.0]]), None, torch.arange(2))
    assert Gaussian(torch.zeros(1)).baselines([table], [table])["independent numbers"]["loss"] == pytest.approx(
        0.5 + 0.5 * log(2 * pi)
    )


def test_samples_are_in_range_and_of_the_class_that_is_named() -> None:
    task = task_of(PIXELS)
    networks, indices = networks_of(task, conditional=True), torch.arange(4)
    assert task.options(networks) == {"classes"}
    latents = noise(task.noise_shape(networks), 0, indices)
    assert latents.shape == (4, 5)
    with torch.no_grad():
        free = task.decoded(networks, latents, Sampling(0, indices))
        of_a = task.decoded(networks, latents, Sampling(0, indices, torch.eye(3)[[0, 0, 0, 0]]))
        of_b = task.decoded(networks, latents, Sampling(0, indices, torch.eye(3)[[1, 1, 1, 1]]))
        of_c = task.decoded(networks, latents, Sampling(0, indices, torch.eye(3)[[2, 2, 2, 2]]))
        few = task.decoded(networks, latents[2:], Sampling(0, indices[2:], torch.zeros(2, 3)))
    assert free.shape == (4, 1, 4, 4)
    assert float(of_a.min()) >= 0 and float(of_a.max()) <= 1
    assert not torch.equal(of_a, of_b)
    assert torch.allclose(free[2:], few, atol=1e-6)  # drawn by seed and number
    for row in range(4):  # each is of one of the classes
        assert min(float((free - each)[row].abs().max()) for each in (of_a, of_b, of_c)) < 1e-6


@pytest.mark.parametrize("conditional", [False, True])
def test_the_exported_part_makes_samples_of_latents(conditional: bool) -> None:
    task, indices = task_of(PIXELS), torch.arange(3)
    networks = networks_of(task, conditional)
    part = task.exported(networks)
    assert part.input_shape == ({"latents": (5,), "classes": (3,)} if conditional else {"latents": (5,)})
    latents, classes = torch.randn(3, 5), torch.eye(3)
    with torch.no_grad():
        made = part.network(latents, classes) if conditional else part.network(latents)
        assert torch.equal(made, task.decoded(networks, latents, Sampling(0, indices, classes)))


def test_without_classes_the_bound_of_a_conditional_model_is_that_of_their_mixture() -> None:
    task, batch = task_of(PIXELS), batch_of(PIXELS)
    networks = networks_of(task, conditional=True)
    with torch.no_grad():
        each = []
        for number in range(3):
            own = replace(batch, targets=torch.full((len(batch),), number))
            each.append(-task.predict(networks, own).extra["loss"])
        found = task.predict(networks, replace(batch, targets=None))
    expected = -torch.logsumexp(torch.stack(each) + torch.tensor([0.6, 0.3, 0.1]).log()[:, None], 0)
    assert torch.allclose(found.extra["loss"].float(), expected, atol=1e-4)
    assert found.outputs.shape == (6, 1, 4, 4)


@pytest.mark.parametrize(
    ("spec", "options", "words"),
    [
        (TABLE, {"likelihood": "bernoulli"}, "Set task.likelihood=gaussian"),
        (PIXELS, {"variance": 0.1}, "Set task.likelihood=gaussian"),
        (PIXELS, {"likelihood": "poisson"}, "available: auto, bernoulli, gaussian"),
    ],
)
def test_what_does_not_fit_is_refused(spec: DataSpec, options: Mapping[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        task_of(spec, **options)


def test_latents_that_say_nothing_are_counted() -> None:
    task = task_of(PIXELS)
    networks, batch = networks_of(task), batch_of(PIXELS)
    with torch.no_grad():
        network = networks["model"]
        assert isinstance(network, VariationalAutoencoder)
        head = network.encoder.head[-1]
        assert isinstance(head, nn.Linear)
        for latent in (0, 3):  # mean 0 and variance 1 whatever the sample
            for row in (latent, latent + 5):
                head.weight[row], head.bias[row] = 0.0, 0.0
        state, other = LatentUse(), LatentUse()
        state.update(task.predict(networks, batch))
        other.update(task.predict(networks, batch))
    state.merge(other)
    assert state.kl()[[0, 3]].tolist() == [0.0, 0.0]
    assert state.compute()["collapsed_latents"] == 2 + int((state.kl()[[1, 2, 4]] < 0.01).sum())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("vae") / "run"
    dlexp("train", *WORDS, "trainer.test=true", "trainer.monitor=val/iwae", "--run-dir", str(found), "-q")
    return found


def test_a_run_is_evaluated_with_its_parts_latents_and_baselines(run: Path) -> None:
    report = json.loads((run / "eval/test/report.json").read_text())
    metrics = report["metrics"]
    assert metrics["loss"] == pytest.approx(metrics["reconstruction"] + metrics["kl"])
    assert set(report["intervals"]) == {"loss", "reconstruction", "kl", "iwae", "share_above_threshold"}
    low, high = report["intervals"]["loss"]["low"], report["intervals"]["loss"]["high"]
    assert low < metrics["loss"] < high
    assert set(report["baselines"]) == {"independent pixels", "entropy of the pixels"}
    assert report["baselines"]["independent pixels"]["loss"] == pytest.approx(27.1, abs=0.3)
    for name in ("predictions", "mistakes", "latents"):
        assert is_file(run / f"eval/test/{name}.csv")
    for name in ("reconstructions", "scores", "latents", "kl"):
        assert is_file(run / f"eval/test/{name}.png")
    assert "val/iwae" in (run / "metrics.csv").read_text().splitlines()[0]
    assert isinstance(task_of(PIXELS), Encodes)


def test_new_samples_have_the_values_of_an_evaluation_to_the_bit(run: Path, tmp_path: Path) -> None:
    with (run / "eval/test/predictions.csv").open() as file:
        known = {row["row"]: row for row in csv.DictReader(file)}
    images = load_digits().images.astype("uint8")
    rows = list(known)[:3]
    np.save(tmp_path / "new.npy", np.stack([images[int(row)][None] for row in rows]))
    dlexp("predict", str(run), str(tmp_path / "new.npy"), "--out", str(tmp_path / "found.csv"), "-q")
    with (tmp_path / "found.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [one["loss"] for one in found] == [known[row]["loss"] for row in rows]
    assert {"z0", "z1", "z2"} < set(found[0])


def test_two_runs_are_compared_by_the_values_of_their_samples(run: Path) -> None:
    other = run.parent / "other"
    words = (*WORDS, "task.beta=4", "trainer.test=true")
    dlexp("train", *words, "--run-dir", str(other), "-q")
    found = compare([run, other], CompareOptions())
    assert found.metric == "test/loss" and not found.maximize
    assert found.samples == 359
    for metric in ("reconstruction", "kl", "iwae"):
        assert compare([run, other], CompareOptions(metric)).samples == 359
    with pytest.raises(ConfigError) as refused:
        compare([run, other], CompareOptions("reconstructoin"))
    assert "--metric reconstruction" in refused.value.problems[0].remedy
