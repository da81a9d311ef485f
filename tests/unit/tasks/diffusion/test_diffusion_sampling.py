"""Sampling from noise and back, with denoisers that know the truth."""

import pytest
import torch
from torch import Tensor

from dlexp.tasks.generative.base import noise
from dlexp.tasks.generative.diffusion.sampling import Denoising, denoised, invert
from dlexp.tasks.generative.diffusion.schedule import NoiseSchedule, noise_in, target

MEAN, STD, TIMES = 0.5, 0.3, 100


def truth(kind: str = "v", schedule: NoiseSchedule | None = None, mean: float = MEAN) -> Denoising:
    """The best denoiser of numbers that are N(mean, STD^2)."""
    schedule = schedule or NoiseSchedule("cosine", TIMES)

    def network(noised: Tensor, share: Tensor, classes: Tensor | None) -> Tensor:
        times = (share * schedule.timesteps).round().long() - 1
        signal, spread = (values.double() for values in schedule.of(times, noised.ndim))
        gain = signal * STD**2 / (signal**2 * STD**2 + spread**2)
        x_0 = mean + gain * (noised.double() - signal * mean)
        return target(kind, x_0, noise_in(noised.double(), x_0, signal, spread), signal, spread)

    return Denoising(network, schedule, kind)


@pytest.mark.parametrize("kind", ["v", "x0", "epsilon"])
@pytest.mark.parametrize(
    ("steps", "eta", "error"), [(100, 1.0, 0.05), (100, 0.0, 0.03), (25, 0.0, 0.1), (25, 1.0, 0.2)]
)
def test_a_denoiser_that_knows_the_truth_makes_samples_of_the_right_mean_and_spread(
    kind: str, steps: int, eta: float, error: float
) -> None:
    latents = torch.randn(1, 20_000, generator=torch.Generator().manual_seed(0))
    found = denoised(
        truth(kind),
        latents,
        steps=steps,
        eta=eta,
        seed=0,
        indices=torch.tensor([0]),
        progress=lambda done, total: None,
    )
    assert found.mean().item() == pytest.approx(MEAN, abs=0.01)
    assert found.std().item() == pytest.approx(STD, rel=error)


def test_samples_without_new_noise_repeat_to_the_bit_whatever_the_seed_of_the_steps() -> None:
    latents, indices = noise((3,), 5, torch.arange(4)), torch.arange(4)

    def once(seed: int, eta: float) -> Tensor:
        return denoised(
            truth(), latents, steps=10, eta=eta, seed=seed, indices=indices, progress=lambda done, total: None
        )

    assert torch.equal(once(1, 0.0), once(2, 0.0))
    assert torch.equal(once(1, 1.0), once(1, 1.0))
    assert not torch.equal(once(1, 1.0), once(2, 1.0))


def test_the_noise_of_a_sample_does_not_depend_on_the_others() -> None:
    def made(indices: Tensor) -> Tensor:
        latents = noise((1,), 0, indices)
        return denoised(truth(), latents, steps=10, eta=1.0, seed=0, indices=indices, progress=lambda done, total: None)

    everyone = made(torch.arange(6))
    for chosen in (torch.tensor([4]), torch.tensor([2, 0])):
        assert torch.allclose(made(chosen), everyone[chosen], atol=1e-6)


def test_progress_counts_every_step() -> None:
    seen = []
    denoised(
        truth(),
        torch.randn(2, 1),
        steps=7,
        eta=0.0,
        seed=0,
        indices=torch.arange(2),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(number, 7) for number in range(1, 8)]


def test_guidance_asks_once_with_twice_the_samples_and_goes_beyond_the_class() -> None:
    calls = []

    def network(noised: Tensor, share: Tensor, classes: Tensor | None) -> Tensor:
        calls.append((len(noised), classes))
        assert classes is not None
        return torch.ones_like(noised) * (1 + classes.sum(1, keepdim=True))

    schedule, classes = NoiseSchedule("cosine", 10), torch.eye(3)
    with_guidance = Denoising(network, schedule, "x0", classes, guidance=3.0)
    assert torch.equal(with_guidance.output(torch.zeros(3, 1), 5), torch.full((3, 1), 4.0))  # 1 + 3 (2 - 1)
    assert [count for count, _ in calls] == [6]
    shown = calls[0][1]
    assert shown is not None
    assert torch.equal(shown, torch.cat([classes, torch.zeros(3, 3)]))
    assert torch.equal(
        Denoising(network, schedule, "x0", classes).output(torch.zeros(3, 1), 5), torch.full((3, 1), 2.0)
    )
    assert [count for count, _ in calls] == [6, 3]


def test_what_is_seen_is_clipped_and_its_noise_follows() -> None:
    schedule = NoiseSchedule("cosine", 10)
    denoising = Denoising(lambda noised, share, classes: noised * 0 + 4, schedule, "x0", limits=(-1, 1))
    noised = torch.tensor([[0.2]])
    found, rest = denoising.parts(noised, 4)
    assert found.item() == 1
    assert torch.allclose(schedule.signal(4) * found + schedule.noise(4) * rest, noised)


@pytest.mark.parametrize("kind", ["v", "epsilon"])
def test_inversion_finds_the_noise_that_makes_a_sample(kind: str) -> None:
    denoising = truth(kind)
    latents = torch.randn(50, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    made = denoised(
        denoising, latents, steps=20, eta=0.0, seed=0, indices=torch.arange(50), progress=lambda done, total: None
    )
    assert torch.allclose(invert(denoising, made, steps=20), latents, atol=1e-3)
