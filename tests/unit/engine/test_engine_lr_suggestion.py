from __future__ import annotations

import numpy as np
import pytest

from dlexp.engine.lr_finder.suggestion import (
    Array,
    Reading,
    combine,
    has_diverged,
    noise_of,
    read,
    rules_of_others,
    smooth,
)

CENTER, STEPS = -3.2, 100
X: Array = np.linspace(-7, 1, STEPS)


def curve(x: Array) -> Array:
    """A drop centered at -3.2 and a blow-up near a rate of 0.3."""
    fall: Array = 2.3 - 2 / (1 + np.exp(-(x - CENTER) / 0.3)) + np.exp(6 * (x + 0.5))
    return fall


def swept(noise: float, seed: int, flat: bool = False) -> tuple[Array, Array, bool]:
    """What a sweep would have left of the curve: (x, y, whether it was stopped)."""
    y = (np.full(STEPS, 2.3) if flat else curve(X)) + noise * np.random.default_rng(seed).standard_normal(STEPS)
    for count in range(1, STEPS + 1):
        if has_diverged(X[:count], y[:count]):
            return X[:count], y[:count], True
    return X, y, False


def readings(noise: float, flat: bool = False) -> list[Reading]:
    return [read(*swept(noise, seed, flat)) for seed in range(40)]


def suggestions(noise: float) -> Array:
    return np.array([reading.suggested for reading in readings(noise)], dtype=float)


@pytest.mark.parametrize(("noise", "allowed"), [(0.0, 0.01), (0.02, 0.05), (0.1, 0.15), (0.3, 0.25)])
def test_the_suggestion_is_steady_and_without_lag(noise: float, allowed: float) -> None:
    found = suggestions(noise)
    assert found.std() <= allowed
    assert np.median(found) == pytest.approx(CENTER, abs=0.1)


def test_the_median_of_three_seeds_is_steadier_than_one() -> None:
    found = suggestions(0.3)
    medians = np.median(found[:39].reshape(13, 3), axis=1)
    assert medians.std() < 0.75 * found.std()


def test_the_ratio_of_drop_to_noise_tells_a_curve_from_none() -> None:
    real, flat = (np.median([r.confidence for r in readings(0.1, is_flat)]) for is_flat in (False, True))
    assert 15 < real < 30
    assert flat < 1.5


def test_no_flat_curve_is_believed_and_every_clear_one_is() -> None:
    assert all(combine([reading]).reasons for reading in readings(0.1, flat=True))
    assert not any(combine([reading]).reasons for reading in readings(0.1))


def test_the_range_runs_from_the_start_of_the_descent_to_a_tenth_of_the_minimum() -> None:
    reading = read(*swept(0.0, 0))
    assert reading.suggested is not None
    assert reading.low < reading.suggested < reading.high
    x, y, _ = swept(0.0, 0)
    assert reading.high == pytest.approx(x[smooth(x, y).argmin()] - 1)
    begun = 2.3 - smooth(x, y)[x == reading.low][0]
    assert begun == pytest.approx(0.1 * reading.drop, abs=0.05)


def test_the_range_of_a_perfect_curve_is_wider_than_a_decade() -> None:
    """Which is why the spread of the suggestion, and not this range, decides about confidence."""
    reading = read(*swept(0.0, 0))
    assert reading.high - reading.low > 1
    assert reading.interval[1] - reading.interval[0] < 0.2


def test_the_interval_covers_the_truth_and_widens_with_noise() -> None:
    widths = []
    for noise in (0.02, 0.1, 0.3):
        found = readings(noise)
        widths.append(np.median([r.interval[1] - r.interval[0] for r in found]))
        inside = [r.interval[0] - 0.1 <= CENTER <= r.interval[1] + 0.1 for r in found]
        assert np.mean(inside) > 0.8
    assert widths == sorted(widths)


@pytest.mark.parametrize(("factor", "offset"), [(1e-6, 0), (1e6, 0), (1, -100), (1, -2.3), (3, 50)])
def test_neither_scale_nor_sign_of_the_loss_matters(factor: float, offset: float) -> None:
    x, y, stopped = swept(0.1, 3)
    moved = factor * y + offset
    assert stopped
    assert has_diverged(x, moved)
    assert not any(has_diverged(x[:count], moved[:count]) for count in range(1, len(x)))
    first, second = read(x, y, True), read(x, moved, True)
    assert second.suggested == first.suggested
    assert second.confidence == pytest.approx(first.confidence, rel=1e-3)


def test_the_sweep_stops_where_the_rise_equals_the_fall() -> None:
    x, y, stopped = swept(0.0, 0)
    smoothed = smooth(x, y)
    assert stopped
    assert smoothed[-1] > 2 * smoothed[0] - smoothed.min()
    before = smooth(x[:-1], y[:-1])
    assert before[-1] <= 2 * before[0] - before.min()


@pytest.mark.parametrize("value", [0.0, 2.3, -7.0, 1e-300])
def test_a_loss_that_never_moves_neither_diverges_nor_suggests(value: float) -> None:
    y = np.full(STEPS, value)
    assert not has_diverged(X, y)
    reading = read(X, y, False)
    assert reading.confidence < 1
    assert combine([reading]).reasons


def test_a_trifle_above_the_start_is_no_divergence() -> None:
    """A validation loss has next to no noise, so that any drift stands far above it."""
    assert not has_diverged(X, 1.1 + 1e-4 * np.exp(X / 4))


def test_a_descent_that_the_noise_hides_is_told_from_none() -> None:
    found = [swept(0.9, seed) for seed in range(20)]
    edges = [read(x, y, stopped).edge for x, y, stopped in found if stopped]
    assert edges.count("noisy") > len(edges) / 2


def test_noise_alone_does_not_stop_a_sweep() -> None:
    stopped = [swept(0.1, seed, flat=True)[2] for seed in range(40)]
    assert sum(stopped) <= 1


def test_a_loss_that_only_rises_has_no_suggestion() -> None:
    reading = read(X, 1 + np.exp(X), True)
    assert reading.suggested is None
    assert reading.edge == "risen"
    assert combine([reading]).suggested is None


@pytest.mark.parametrize(
    ("cut", "edge"),
    [(slice(0, 55), "top"), (slice(48, 80), "bottom"), (slice(0, 20), "flat"), (slice(0, 85), "")],
)
def test_a_range_that_cuts_the_curve_off_is_told(cut: slice, edge: str) -> None:
    assert read(X[cut], curve(X)[cut] + 0.02 * np.random.default_rng(0).standard_normal(STEPS)[cut], False).edge == edge


def test_the_steepest_point_at_the_lower_edge_is_not_relied_on() -> None:
    assert combine([read(X[48:80], curve(X)[48:80], False)]).reasons == (
        "the loss falls steepest where the sweep begins",
    )


def shifted(by: float) -> Reading:
    return read(X, curve(X - by), False)


def test_seeds_that_disagree_lower_the_confidence_and_the_median_is_told() -> None:
    near = combine([shifted(0.0), shifted(0.3), shifted(0.1)])
    assert near.reasons == ()
    assert near.suggested == pytest.approx(CENTER + 0.1, abs=0.05)
    assert near.interval == pytest.approx((CENTER, CENTER + 0.3), abs=0.05)
    far = combine([shifted(0.0), shifted(1.3), shifted(0.1)])
    assert far.suggested == pytest.approx(CENTER + 0.1, abs=0.05)
    assert far.reasons == ("the seed moves the steepest point by 1.3 decades, and 1 is the most",)


def test_a_seed_without_a_descent_lowers_the_confidence() -> None:
    risen = read(X, 1 + np.exp(X), True)
    assert combine([shifted(0.0), shifted(0.0), risen]).reasons == ("1 of 3 sweeps see no descent",)


def test_the_smooth_is_symmetric_and_keeps_a_constant() -> None:
    spike = np.zeros(101)
    spike[50] = 1
    found = smooth(np.linspace(-1, 1, 101), spike, 0.05)
    np.testing.assert_allclose(found, found[::-1], atol=1e-12)
    assert found.argmax() == 50
    np.testing.assert_allclose(smooth(X, np.full(STEPS, 3.0)), 3.0)


def test_noise_is_a_standard_deviation_that_outliers_do_not_move() -> None:
    values = np.random.default_rng(0).normal(0, 0.5, 5000)
    assert noise_of(values) == pytest.approx(0.5, rel=0.05)
    values[:200] = 1e6
    assert noise_of(values) == pytest.approx(0.5, rel=0.1)


def fastai_valley(losses: list[float], rates: list[float]) -> float:
    """fastai.callback.schedule.valley, as published (2.8)."""
    n = len(losses)
    max_start, max_end = 0, 0
    lds = [1] * n
    for i in range(1, n):
        for j in range(i):
            if losses[i] < losses[j] and lds[i] < lds[j] + 1:
                lds[i] = lds[j] + 1
            if lds[max_end] < lds[i]:
                max_end = i
                max_start = max_end - lds[max_end]
    sections = (max_end - max_start) / 3
    return rates[max_start + int(sections) + int(sections / 2)]


def running_mean(y: Array) -> Array:
    mean, out = 0.0, []
    for number, value in enumerate(y, start=1):
        mean = 0.98 * mean + 0.02 * value
        out.append(mean / (1 - 0.98**number))
    return np.array(out)


@pytest.mark.parametrize("seed", range(8))
def test_the_rules_of_others_are_theirs(seed: int) -> None:
    x, y, _ = swept(0.1, seed)
    rates, mean = 10**x, running_mean(y)
    window, losses = rates[len(x) // 10 : -5], mean[len(x) // 10 : -5]
    found = rules_of_others(rates, y)
    assert found["valley"] == fastai_valley(losses.tolist(), window.tolist())
    slopes = [(losses[i + 1] - losses[i]) / np.log(window[i + 1] / window[i]) for i in range(len(window) - 1)]
    assert found["steep"] == window[int(np.argmin(slopes))]
    assert found["minimum"] == window[int(losses.argmin())] / 10
    assert found["lightning"] is not None
    assert found["lightning"] < 1e-5  # the bug of Lightning 2.5.3 and later: #21141


def test_the_rules_of_others_say_nothing_about_a_few_points() -> None:
    assert set(rules_of_others(10 ** X[:5], np.ones(5)).values()) == {None}
