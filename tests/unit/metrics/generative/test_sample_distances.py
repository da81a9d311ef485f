"""Distances of sets of samples against closed forms, and nearest neighbors against sets that are known."""

import numpy as np
import pytest

from dlexp.metrics.generative.distances import class_distance, frechet_distance, frechet_of_gaussians
from dlexp.metrics.generative.nearest import Neighborhoods, copy_threshold, covered_modes, in_modes, nearest_of

RNG = np.random.default_rng(0)


def test_frechet_distance_of_diagonal_gaussians_has_a_closed_form() -> None:
    mean, other = np.array([1.0, 2.0, 0.0]), np.array([0.0, 2.0, 2.0])
    a, b = np.array([1.0, 4.0, 9.0]), np.array([4.0, 4.0, 0.0])
    expected = 1 + 4 + np.square(np.sqrt(a) - np.sqrt(b)).sum()
    assert frechet_of_gaussians(mean, np.diag(a), other, np.diag(b)) == pytest.approx(expected, rel=1e-12)


def test_frechet_distance_is_that_of_scipys_square_root() -> None:
    from scipy.linalg import sqrtm

    first, second = RNG.normal(size=(5, 5)), RNG.normal(size=(5, 5))
    a, b = first @ first.T, second @ second.T
    expected = np.trace(a + b - 2 * np.real(sqrtm(a @ b)))
    assert frechet_of_gaussians(np.zeros(5), a, np.zeros(5), b) == pytest.approx(expected, rel=1e-8)


def test_frechet_distance_does_not_depend_on_a_rotation_and_is_symmetric() -> None:
    rotation = np.linalg.qr(RNG.normal(size=(4, 4)))[0]
    one, other = RNG.normal(size=(50, 4)), 2 * RNG.normal(size=(60, 4)) + 1
    value = frechet_distance(one, other)
    assert frechet_distance(other, one) == pytest.approx(value)
    assert frechet_distance(one @ rotation, other @ rotation) == pytest.approx(value)


def test_frechet_distance_without_full_rank_is_finite_and_of_equal_sets_zero() -> None:
    few = RNG.normal(size=(5, 40))
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-6)
    moved = few + 3
    assert frechet_distance(few, moved) == pytest.approx(9 * 40, rel=1e-6)
    with pytest.raises(ValueError, match="no covariance"):
        frechet_distance(few[:1], few)


def test_frechet_distance_of_large_numbers_keeps_its_digits() -> None:
    """float64 throughout: a mean of 1e4 leaves the distance of the deviations."""
    one, other = RNG.normal(size=(2000, 3)), 2 * RNG.normal(size=(2000, 3))
    assert frechet_distance(one + 1e4, other + 1e4) == pytest.approx(frechet_distance(one, other), rel=1e-6)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [([1, 1], [10, 10], 0), ([1, 0], [0, 5], 1), ([1, 0, 0], [1, 1, 0], (0.25 / 1.5 + 0.5) / 2)],
)
def test_class_distance(first: list[int], second: list[int], expected: float) -> None:
    assert class_distance(first, second) == pytest.approx(expected)
    assert class_distance(second, first) == pytest.approx(expected)


def test_class_distance_of_nothing_raises() -> None:
    with pytest.raises(ValueError, match="no shares"):
        class_distance([0, 0], [1, 1])


def test_nearest_members_are_found_in_any_pieces() -> None:
    members, samples = RNG.normal(size=(37, 6)) + 100, RNG.normal(size=(20, 6)) + 100
    distances = np.linalg.norm(samples[:, None] - members[None], axis=2)
    found = nearest_of(samples, np.split(members, [1, 20, 20]))
    assert found.places.tolist() == distances.argmin(axis=1).tolist()
    assert found.distances == pytest.approx(distances.min(axis=1), abs=1e-6)
    with pytest.raises(ValueError, match="empty"):
        nearest_of(samples, [])


def test_blocks_do_not_change_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    members = RNG.normal(size=(30, 3))
    whole = Neighborhoods.of(members)
    monkeypatch.setattr("dlexp.metrics.generative.nearest._BLOCK", 50)
    parts = Neighborhoods.of(members)
    assert parts.radii == pytest.approx(whole.radii)
    assert parts.holding(members + 0.1).tolist() == whole.holding(members + 0.1).tolist()


def test_balls_reach_to_the_kth_other_member() -> None:
    line = np.array([[0.0], [1.0], [3.0], [7.0]])
    balls = Neighborhoods.of(line, k=2)
    assert balls.radii.tolist() == [3, 2, 3, 6]
    assert balls.holding([[0.0], [-3.5], [20.0], [3.0]]).tolist() == [3, 0, 0, 4]
    assert balls.covered([[9.5]]).tolist() == [False, False, False, True]
    with pytest.raises(ValueError, match="no 4-th"):
        Neighborhoods.of(line, k=4)


def test_equal_members_have_balls_of_no_radius() -> None:
    assert Neighborhoods.of(np.zeros((5, 2))).radii.tolist() == [0] * 5


def test_precision_and_recall_tell_what_is_missing() -> None:
    """Samples of one of two modes are all right (precision), and half of the real ones have none near (recall)."""
    real = np.concatenate([RNG.normal(size=(100, 2)), RNG.normal(size=(100, 2)) + 50])
    samples = RNG.normal(size=(200, 2))
    assert (Neighborhoods.of(real).holding(samples) > 0).mean() > 0.9
    assert (Neighborhoods.of(samples).holding(real) > 0).mean() == pytest.approx(0.5, abs=0.05)


def test_the_threshold_of_copies_is_a_quantile_and_never_zero() -> None:
    assert copy_threshold(np.arange(101.0), 1.0) == pytest.approx(1.0)
    assert 0 < copy_threshold(np.zeros(10), 10.0) <= 1e-3


def test_modes_count_with_a_tenth_of_their_share_of_good_samples() -> None:
    centers = np.array([[0.0, 0.0], [10.0, 0.0]])
    samples = np.concatenate([np.zeros((96, 2)), [[9.0, 0.0]] * 3, [[5.0, 0.0]]])
    places = in_modes(samples, centers, 1.5)
    assert np.bincount(places + 1).tolist() == [1, 96, 3]
    assert covered_modes(places, 2) == 1
    assert covered_modes(places, 2, least=0.05) == 2
    assert covered_modes(np.full(10, -1), 2) == 0
