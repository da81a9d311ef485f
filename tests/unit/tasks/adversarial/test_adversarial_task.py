"""The task of GANs: which network learns of what, what is drawn anew, and what is judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlexp.engine.evaluate import evaluate
from dlexp.engine.state import EpochSums
from dlexp.errors import ConfigError
from dlexp.losses.no_loss import NoLoss
from dlexp.models.generative.gan import Generator, gan
from dlexp.runtime.precision import Precision
from dlexp.specs import ClassSpec, DataSpec, TableSpec
from dlexp.tasks.generative.adversarial import Adversarial
from dlexp.tasks.generative.base import Sampling
from dlexp.types import Batch

SPEC = DataSpec(TableSpec(2), ClassSpec(("a", "b", "c")))
FP32 = Precision("fp32", "cpu", "")
SMALL: dict[str, Any] = {"input_shape": (2,), "latent": 3, "generator_hidden": [8, 8], "discriminator_hidden": [8]}


def task(**words: Any) -> Adversarial:
    return Adversarial(spec=SPEC, loss=NoLoss(), **words)


def networks(**words: Any) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return gan(**SMALL | words)


def batch(count: int = 6, first: int = 0) -> Batch:
    indices = torch.arange(first, first + count)
    return Batch(torch.stack([indices, -indices], 1).float() / 7, indices % 3, indices)


def has_gradient(network: nn.Module) -> bool:
    return any(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("words", [{}, {"objective": "wasserstein", "penalty": "gradient"}, {"penalty": "r1"}])
def test_each_phase_gives_gradients_to_its_own_network_alone(words: dict[str, Any]) -> None:
    for phase, other in (("discriminator", "generator"), ("generator", "discriminator")):
        found = networks()
        task(**words).loss(phase, found, batch()).value.backward()
        assert all(p.grad is not None for p in found[phase].parameters())
        assert not has_gradient(found[other])
        assert all(p.requires_grad for network in found.values() for p in network.parameters())


def test_frozen_weights_of_the_discriminator_stay_frozen() -> None:
    found = networks()
    frozen = next(found["discriminator"].parameters()).requires_grad_(False)
    task().loss("generator", found, batch())
    assert not frozen.requires_grad


def test_the_phases_draw_their_samples_anew() -> None:
    found, seen = networks(), []
    found["generator"].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    for phase in ("discriminator", "generator"):
        task().loss(phase, found, batch())
    assert not torch.equal(*seen)


def test_the_loss_is_the_sum_of_its_parts() -> None:
    words: dict[str, Any] = {"objective": "wasserstein", "penalty": "gradient", "penalty_weight": 3.0}
    output = task(**words).loss("discriminator", networks(), batch())
    means = {name: float(values.float().mean()) for name, values in output.parts.items()}
    assert set(means) == {"real", "fake", "penalty", "distance"}
    assert means["real"] + means["fake"] + means["penalty"] == pytest.approx(float(output.value.detach()), abs=1e-6)
    assert means["distance"] == pytest.approx(-means["real"] - means["fake"], abs=1e-6)
    logged = EpochSums()
    logged.add("accuracy", task().loss("discriminator", networks(), batch()).parts["accuracy"], 6)
    assert 0 <= logged.means()["accuracy"] <= 1


def test_the_weight_of_a_penalty_scales_it() -> None:
    parts = []
    for weight in (1.0, 10.0):
        torch.manual_seed(3)
        parts.append(task(penalty="r1", penalty_weight=weight).loss("discriminator", networks(), batch()).parts)
    assert float(parts[1]["penalty"]) == pytest.approx(10 * float(parts[0]["penalty"]), rel=1e-5)


def test_the_generator_learns_after_the_last_step_of_the_critic() -> None:
    phases = task(critic_steps=3).phases
    assert list(phases) == ["discriminator", "generator"]
    assert [phases["generator"].runs_in(step) for step in range(6)] == [False, False, True] * 2
    assert all(phases["discriminator"].runs_in(step) for step in range(6))


def measured(found: Mapping[str, nn.Module], size: int, **words: Any) -> float:
    batches: Iterator[Batch] = (batch(size, first) for first in range(0, 12, size))
    return evaluate(task(**words), nn.ModuleDict(found), batches, FP32, seed=1).metrics["energy_distance"]


def test_every_evaluation_judges_the_same_samples_in_evaluation_mode() -> None:
    found = networks(discriminator_norm="none")
    before = {name: value.clone() for name, value in nn.ModuleDict(found).state_dict().items()}
    torch.manual_seed(5)
    first = measured(found, 12)
    assert measured(found, 12) == first
    assert measured(found, 4) == pytest.approx(first, abs=1e-6)  # batch normalization in training mode would differ
    after = nn.ModuleDict(found).state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(network.training for network in found.values())


def test_the_distance_tells_good_samples_from_bad_ones() -> None:
    class Copies(nn.Module):
        latent, num_classes = 1, 0

        def __init__(self, shift: float) -> None:
            super().__init__()
            self.shift = shift

        def forward(self, noise: Tensor, classes: Tensor | None = None) -> Tensor:
            numbers = torch.arange(len(noise)).float() / 7
            return torch.stack([numbers, -numbers], 1) + self.shift

    discriminator = networks()["discriminator"]
    near, far = (measured({"generator": Copies(by), "discriminator": discriminator}, 12) for by in (0.01, 2.0))
    assert near < 0.1 < 1 < far


def test_samples_of_a_class_and_in_turn() -> None:
    found = networks(num_classes=3, conditional=True)
    made = task()
    assert made.options(found) == {"classes"} and made.noise_shape(found) == (3,)
    generator = found["generator"].eval()
    latents = torch.randn(3, 3)
    in_turn = made.decoded(found, latents, Sampling(0, torch.tensor([0, 1, 2])))
    assert torch.equal(in_turn, generator(latents, torch.eye(3)))
    ones = made.decoded(found, latents, Sampling(0, torch.tensor([0, 1, 2]), torch.eye(3)[[1, 1, 1]]))
    assert not torch.equal(ones[0], in_turn[0]) and torch.equal(ones[1], in_turn[1])
    plain = networks()
    assert made.options(plain) == frozenset()


def test_new_samples_without_classes_are_scored() -> None:
    for words in ({}, {"conditional": True}, {"conditional": True, "condition": "concatenation"}):
        found = networks(num_classes=3, **words)
        given = Batch(batch().inputs, None, batch().indices)
        prediction = task().predict(found, given)
        assert len(task().prediction_columns(SPEC, prediction).columns["score"]) == 6


def test_what_cannot_be_combined_is_refused() -> None:
    with pytest.raises(ConfigError) as refused:
        task(penalty="gradient").predict(networks(discriminator_norm="batch", discriminator_hidden=[8, 8]), batch())
    assert [p.code for p in refused.value.problems] == ["cannot-combine"]
    assert "model.discriminator_norm=none" in refused.value.problems[0].remedy
    with pytest.raises(ConfigError) as refused:
        task(objective="hinge", real_smoothing=0.1)
    assert refused.value.problems[0].code == "no-effect"
    with pytest.raises(ConfigError) as refused:
        task().predict({"model": nn.Linear(2, 2)}, batch())
    assert "model=gan" in refused.value.problems[0].remedy


def test_a_conditional_generator_without_classes_says_so() -> None:
    generator = networks(num_classes=3, conditional=True)["generator"]
    assert isinstance(generator, Generator)
    with pytest.raises(ValueError, match="requires classes"):
        generator(torch.randn(2, 3))
