"""The closed forms of the noise of a diffusion."""

import math

import pytest
import torch

from dlexp.tasks.generative.diffusion.bound import decoder, prior, step_factors
from dlexp.tasks.generative.diffusion.schedule import (
    NoiseSchedule,
    betas,
    chosen_times,
    clean,
    loss_weight,
    noise_in,
    target,
)

KINDS = ("epsilon", "x0", "v")


def test_the_linear_schedule_is_that_of_the_paper_at_its_number_of_steps() -> None:
    found = betas("linear", 1000)
    assert found[0].item() == pytest.approx(1e-4)
    assert found[-1].item() == pytest.approx(0.02)
    assert torch.allclose(found.diff(), torch.full((999,), (0.02 - 1e-4) / 999, dtype=torch.float64))


@pytest.mark.parametrize("kind", ["linear", "cosine"])
@pytest.mark.parametrize("timesteps", [2, 10, 200, 1000])
def test_noise_grows_from_almost_none_to_almost_nothing_else(kind: str, timesteps: int) -> None:
    schedule = NoiseSchedule(kind, timesteps)
    assert schedule.kept.dtype == torch.float64
    assert (schedule.kept.diff() < 0).all()
    assert ((schedule.betas > 0) & (schedule.betas <= 0.999)).all()
    assert schedule.kept[-1] < 1e-2
    if timesteps >= 200:
        assert schedule.noise(0) < 0.05
    assert (schedule.signal(-1), schedule.noise(-1)) == (1.0, 0.0)


def test_the_cosine_schedule_keeps_a_squared_cosine_of_the_signal() -> None:
    schedule = NoiseSchedule("cosine", 100)
    ends = [math.cos((t / 100 + 0.008) / 1.008 * math.pi / 2) ** 2 for t in (0, 50)]
    assert schedule.kept[49].item() == pytest.approx(ends[1] / ends[0])


def test_noised_samples_have_the_mean_and_the_variance_of_the_closed_form() -> None:
    schedule = NoiseSchedule("cosine", 50)
    draws = torch.Generator().manual_seed(0)
    inputs = torch.tensor([[0.7]]).expand(100_000, 1)
    for time in (0, 10, 25, 49):
        times = torch.full((100_000,), time)
        found = schedule.noised(inputs, times, torch.randn(100_000, 1, generator=draws))
        assert found.mean().item() == pytest.approx(math.sqrt(schedule.kept[time]) * 0.7, abs=1e-2)
        assert found.var().item() == pytest.approx(1 - schedule.kept[time].item(), abs=1e-2)


@pytest.mark.parametrize("time", [1, 7, 19])
def test_the_posterior_is_that_of_bayes_by_numerical_integration(time: int) -> None:
    schedule, x_0, x_t = NoiseSchedule("linear", 20), 0.4, -0.9
    x = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    before, beta = schedule.kept[time - 1], schedule.betas[time]
    log_before = -((x - before.sqrt() * x_0) ** 2) / (2 * (1 - before))
    weights = torch.softmax(log_before - (x_t - (1 - beta).sqrt() * x) ** 2 / (2 * beta), 0)
    mean = (weights * x).sum()
    first, second, variance = schedule.posterior(time)
    assert first * x_0 + second * x_t == pytest.approx(mean.item(), abs=1e-8)
    assert variance == pytest.approx((weights * (x - mean) ** 2).sum().item(), abs=1e-8)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_a_step_of_ddim_with_all_noise_is_the_posterior(kind: str) -> None:
    schedule, x_0, x_t = NoiseSchedule(kind, 30), 0.3, 1.1
    for time in range(30):
        step = schedule.step(time, time - 1, eta=1.0)
        noise = (x_t - schedule.signal(time) * x_0) / schedule.noise(time)
        first, second, variance = schedule.posterior(time)
        assert step.spread**2 == pytest.approx(variance, abs=1e-12)
        assert step.signal * x_0 + step.direction * noise == pytest.approx(first * x_0 + second * x_t, abs=1e-9)


def test_steps_keep_the_variance_whatever_noise_they_add() -> None:
    schedule = NoiseSchedule("cosine", 40)
    for eta in (0.0, 0.3, 1.0):
        step = schedule.step(30, 12, eta)
        assert step.direction**2 + step.spread**2 == pytest.approx(schedule.noise(12) ** 2)
        assert step.signal == pytest.approx(schedule.signal(12))
    assert schedule.step(30, 12, 0.0).spread == 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_network_learns_leads_back_to_the_sample_and_its_noise(kind: str) -> None:
    schedule = NoiseSchedule("cosine", 20)
    x_0, noise = torch.randn(20, 3, 2), torch.randn(20, 3, 2)
    signal, spread = schedule.of(torch.arange(20), 3)
    noised = signal * x_0 + spread * noise
    found = clean(kind, target(kind, x_0, noise, signal, spread), noised, signal, spread)
    kept = slice(0, 19)  # at the last time next to nothing of the sample is left to divide by
    assert torch.allclose(found[kept], x_0[kept], atol=1e-4)
    assert torch.allclose(noise_in(noised, x_0, signal, spread), noise, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_min_snr_weighs_the_error_of_the_sample_alike_for_every_kind_of_output(kind: str) -> None:
    schedule = NoiseSchedule("cosine", 20)
    signal, spread = (values.double() for values in schedule.of(torch.arange(19), 2))
    x_0, noised, guess = torch.randn(3, 19, 1, dtype=torch.float64)
    noise = noise_in(noised, x_0, signal, spread)
    wrong = target(kind, guess, noise_in(noised, guess, signal, spread), signal, spread)
    error = (wrong - target(kind, x_0, noise, signal, spread)).square()
    weight = loss_weight(kind, "min_snr", 5.0, signal, spread)
    expected = (signal / spread).square().clamp(max=5.0) * (guess - x_0).square()
    assert torch.allclose(weight * error, expected, rtol=1e-6)
    assert (loss_weight(kind, "simple", 5.0, signal, spread) == 1).all()


@pytest.mark.parametrize(("timesteps", "count"), [(200, 1), (200, 20), (200, 200), (7, 3), (2, 2)])
def test_chosen_times_begin_at_the_last_and_are_evenly_spaced(timesteps: int, count: int) -> None:
    found = chosen_times(timesteps, count)
    assert (found[0], len(found), len(set(found))) == (timesteps - 1, count, count)
    gaps = [before - after for before, after in zip(found, [*found[1:], -1], strict=True)]
    assert max(gaps) - min(gaps) <= 1
    assert min(gaps) >= 1


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_the_nats_of_a_step_are_the_divergence_of_two_posteriors(kind: str) -> None:
    schedule, truth, guess, x_t = NoiseSchedule(kind, 25), 0.3, -0.5, 0.8
    factors = step_factors(schedule)
    assert factors[0] == 0
    for time in range(1, 25):
        first, second, variance = schedule.posterior(time)
        one, two = (
            torch.distributions.Normal(torch.tensor(first * x + second * x_t).double(), math.sqrt(variance))
            for x in (truth, guess)
        )
        divergence = torch.distributions.kl_divergence(one, two).item()
        assert factors[time].item() * (truth - guess) ** 2 == pytest.approx(divergence, rel=1e-4)


def test_the_bound_is_above_the_entropy_of_a_normal_sample_for_the_best_denoiser() -> None:
    """x ~ N(0, 1/4) and its linear denoiser, whose error is known."""
    schedule, variance = NoiseSchedule("linear", 1000), 0.25
    ratio = schedule.kept / (1 - schedule.kept)
    steps = (step_factors(schedule) * variance / (1 + ratio * variance)).sum().item()
    draws = torch.Generator().manual_seed(1)
    x, noise = torch.randn(2, 20_000, 1, generator=draws, dtype=torch.float64)
    ends = (prior(schedule, x * math.sqrt(variance)) + decoder(schedule, x, noise, None, None)).mean().item()
    entropy = math.log(2 * math.pi * math.e * variance) / 2
    assert entropy < steps + ends < entropy + 0.5


def test_the_code_of_levels_is_nothing_where_noise_is_small_and_all_levels_where_it_is_large() -> None:
    levels = torch.linspace(-1, 1, 17)[torch.randint(17, (400, 5), generator=torch.Generator().manual_seed(0))]
    noise = torch.randn(400, 5, generator=torch.Generator().manual_seed(1))
    fine = decoder(NoiseSchedule("cosine", 1000), levels, noise, (-1, 1), 17)
    assert fine.abs().max().item() < 1e-3
    coarse = decoder(NoiseSchedule("cosine", 2), levels, noise, (-1, 1), 17).mean().item()
    assert coarse == pytest.approx(5 * math.log(17), rel=0.1)


def test_the_prior_is_the_divergence_of_normal_distributions() -> None:
    schedule, x = NoiseSchedule("linear", 5), torch.tensor([[0.5, -1.0]], dtype=torch.float64)
    left = schedule.kept[-1]
    last = torch.distributions.Normal(left.sqrt() * x, (1 - left).sqrt())
    expected = torch.distributions.kl_divergence(last, torch.distributions.Normal(torch.zeros(2), torch.ones(2))).sum()
    assert prior(schedule, x).item() == pytest.approx(expected.item(), rel=1e-6)
