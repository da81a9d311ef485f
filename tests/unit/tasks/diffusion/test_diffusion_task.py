"""The task of diffusion: its loss, its evaluation, its samples."""

import pytest
import torch
from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.losses.no_loss import NoLoss
from dlexp.models.generative.denoiser import denoiser
from dlexp.regularization.weight_averaging import Ema
from dlexp.specs import ClassSpec, DataSpec, ImageSpec, TableSpec
from dlexp.tasks.generative.base import Encodes, Sampling, noise
from dlexp.tasks.generative.diffusion.task import Diffusion, evaluation_times
from dlexp.types import Batch

IMAGES = DataSpec(ImageSpec(1, 4, 4, (-1.0, 1.0), 17), ClassSpec.numbered(3))
TABLE = DataSpec(TableSpec(5), None)


def task_of(spec: DataSpec = IMAGES, **options: object) -> Diffusion:
    return Diffusion(spec=spec, loss=NoLoss(), **{"timesteps": 20, "steps": 5, **options})  # type: ignore[arg-type]


def batch_of(count: int, first: int = 0, spec: DataSpec = IMAGES) -> Batch:
    draws = torch.Generator().manual_seed(first)
    inputs = torch.rand(count, *spec.inputs.shape, generator=draws) * 2 - 1
    classes = None if spec.targets is None else torch.arange(count) % 3
    return Batch(inputs, classes, torch.arange(first, first + count))


def networks_of(spec: DataSpec = IMAGES, conditional: bool | None = None) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    classes = 0 if spec.targets is None else 3
    network = denoiser(
        input_shape=spec.inputs.shape, num_classes=classes, network="mlp", hidden=[16], conditional=conditional
    )
    return {"model": network.eval()}


class Recording(nn.Module):
    """Keeps what it was asked, and puts out its inputs."""

    num_classes = 3

    def __init__(self) -> None:
        super().__init__()
        self.times: list[Tensor] = []
        self.classes: list[Tensor] = []

    def forward(self, inputs: Tensor, times: Tensor, classes: Tensor) -> Tensor:
        self.times.append(times)
        self.classes.append(classes)
        return inputs


def test_times_of_a_training_batch_are_spread_evenly_and_reach_both_ends() -> None:
    network, task = Recording(), task_of(class_dropout=0.0)
    for _ in range(50):
        task.loss("train", {"model": network}, batch_of(10))
    for times in network.times:
        assert times.sort().values.diff().mul(20).round().sub(2).abs().max() <= 1  # 20 times for 10 samples
    seen = torch.cat(network.times).mul(20).round().unique()
    assert seen.tolist() == list(range(1, 21))


def test_the_class_of_some_training_samples_is_not_shown_and_in_evaluation_all_are() -> None:
    network, task = Recording(), task_of(class_dropout=0.3)
    torch.manual_seed(0)
    task.loss("train", {"model": network}, batch_of(3000))
    shown = network.classes[0].sum(1)
    assert set(shown.tolist()) == {0.0, 1.0}
    assert shown.mean().item() == pytest.approx(0.7, abs=0.03)
    task.predict({"model": network}, batch_of(30))
    assert all((classes.sum(1) == 1).all() for classes in network.classes[1:])


def test_the_loss_is_the_squared_error_of_what_the_prediction_says() -> None:
    torch.manual_seed(0)
    loss = task_of(prediction="epsilon").loss("train", {"model": Zero()}, batch_of(4000)).value
    assert loss.item() == pytest.approx(1.0, abs=0.02)  # noise has variance 1
    loss = task_of(prediction="x0").loss("train", {"model": Zero()}, batch_of(4000)).value
    assert loss.item() == pytest.approx(1 / 3, abs=0.01)  # uniform numbers in [-1, 1]


class Zero(nn.Module):
    """Puts out zeros."""

    num_classes = 0

    def forward(self, inputs: Tensor, times: Tensor, classes: Tensor | None) -> Tensor:
        return torch.zeros_like(inputs)


@pytest.mark.parametrize("spec", [IMAGES, TABLE], ids=["images", "table"])
def test_the_loss_of_a_sample_is_the_same_in_any_batch(spec: DataSpec) -> None:
    task, networks, batch = task_of(spec), networks_of(spec), batch_of(6, spec=spec)
    everyone = task.predict(networks, batch)
    torch.manual_seed(99)
    chosen = torch.tensor([4, 1])
    targets = None if batch.targets is None else batch.targets[chosen]  # type: ignore[index]
    alone = task.predict(networks, Batch(batch.inputs[chosen], targets, chosen))  # type: ignore[index]
    for name in ("loss", "bits_per_dim"):
        assert torch.allclose(alone.extra[name], everyone.extra[name][chosen], rtol=1e-4)
    assert everyone.loss.item() == pytest.approx(everyone.extra["loss"].mean().item())


def test_every_sample_is_evaluated_in_each_quarter_and_few_samples_at_all_times() -> None:
    times = evaluation_times(torch.arange(100), 40)
    assert (times.div(10, rounding_mode="floor") == torch.arange(4)).all()
    assert times.unique().tolist() == list(range(40))


@torch.inference_mode()
def test_a_metric_state_has_the_means_of_all_samples() -> None:
    task, networks = task_of(), networks_of()
    state, parts = task.metric_state(), [batch_of(5), batch_of(3, first=5)]
    predictions = [task.predict(networks, part) for part in parts]
    for prediction in predictions:
        state.update(prediction)
    found = state.compute()
    assert found.keys() == task.metrics.keys()
    bits = torch.cat([prediction.extra["bits_per_dim"] for prediction in predictions])
    assert found["bits_per_dim"] == pytest.approx(bits.mean().item(), rel=1e-5)


def sampling_of(count: int, steps: int | None = None, guidance: float | None = None, seed: int = 0) -> Sampling:
    classes = torch.eye(3)[torch.arange(count) % 3]
    return Sampling(seed, torch.arange(count), classes, steps, guidance)


@torch.inference_mode()
def test_samples_are_in_the_range_of_the_pixels_and_follow_steps_class_and_guidance() -> None:
    task, networks = task_of(), networks_of()
    latents = noise(task.noise_shape(networks), 0, torch.arange(6))
    plain = task.decoded(networks, latents, sampling_of(6))
    assert plain.shape == latents.shape
    assert (plain.abs() <= 1).all()
    assert torch.equal(plain, task.decoded(networks, latents, sampling_of(6, seed=3)))  # DDIM draws nothing
    all_steps = task.decoded(networks, latents, sampling_of(6, steps=20))
    assert not torch.equal(all_steps, task.decoded(networks, latents, sampling_of(6, steps=20, seed=3)))
    assert not torch.allclose(plain, task.decoded(networks, latents, sampling_of(6, guidance=3.0)))
    unconditional = Sampling(0, torch.arange(6))
    assert not torch.allclose(plain, task.decoded(networks, latents, unconditional))


@torch.inference_mode()
def test_inversion_leads_back_to_the_samples() -> None:
    task, networks, batch = task_of(clip=False), networks_of(), batch_of(6)
    assert isinstance(task, Encodes)
    latents = task.encoded(networks, batch)
    found = task.decoded(networks, latents, sampling_of(6))
    assert torch.allclose(found, batch.inputs, atol=1e-3)  # type: ignore[arg-type]


def test_options_are_those_that_the_network_has_a_use_for() -> None:
    assert task_of().options(networks_of()) == {"steps", "classes", "guidance"}
    assert task_of().options(networks_of(conditional=False)) == {"steps"}
    assert task_of(TABLE).options(networks_of(TABLE)) == {"steps"}


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ValueError, match=r"steps=30 .* task\.steps=20"):
        task_of(steps=30)
    with pytest.raises(ConfigError) as refused:
        task_of().decoded(networks_of(), torch.zeros(1, 1, 4, 4), sampling_of(1, steps=21))
    assert [problem.code for problem in refused.value.problems] == ["invalid-value"]
    with pytest.raises(ConfigError) as refused:
        task_of().predict({"model": nn.Linear(4, 4)}, batch_of(2))
    assert [problem.code for problem in refused.value.problems] == ["incompatible-data"]


def test_an_average_of_weights_leaves_the_schedule_alone() -> None:
    """Black samples come of an average that holds the noise of the times."""
    task, networks = task_of(), nn.ModuleDict(networks_of())
    before = task.schedule.kept.clone()
    average = Ema(networks, 0.9)
    assert not list(networks.buffers())
    for parameter in networks.parameters():
        parameter.data += 1
    average.after_update()
    assert torch.equal(task.schedule.kept, before)
    assert average.weights().keys() == dict(networks.named_parameters()).keys()


def test_guidance_requires_samples_whose_class_is_not_shown() -> None:
    with pytest.raises(ValueError, match=r"Set task\.class_dropout=0\.1"):
        task_of(guidance=2.0, class_dropout=0.0)
    assert "guidance" not in task_of(class_dropout=0.0).options(networks_of())
    assert "guidance" in task_of().options(networks_of())
