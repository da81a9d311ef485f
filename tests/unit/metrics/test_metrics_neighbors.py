"""Neighbors within a split, against scikit-learn's with each sample left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import KNeighborsClassifier

from dlexp.metrics import neighbors
from dlexp.metrics.neighbors import NeighborState, nearest_neighbors, votes
from dlexp.types import Prediction

SIZES = (7, 40, 1, 22)


def predictions(seed: int = 0, dims: int = 6, spread: float = 1.2) -> list[Prediction]:
    rng, found = torch.Generator().manual_seed(seed), []
    centers = torch.randn(3, dims, generator=rng)
    for size in SIZES:
        targets = torch.randint(3, (size,), generator=rng)
        points = centers[targets] + spread * torch.randn(size, dims, generator=rng)
        found.append(Prediction(points, targets, torch.tensor(0.5), torch.arange(size)))
    return found


def computed(parts: list[Prediction], k: int) -> dict[str, float]:
    state = NeighborState(3, k)
    for part in parts:
        state.update(part)
    return state.compute()


@pytest.mark.parametrize("rows", [512, 16])
@pytest.mark.parametrize("k", [1, 3, 8])
def test_neighbors_are_those_of_scikit_learn(k: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "_ROWS", rows)
    parts = predictions()
    points = torch.cat([p.outputs for p in parts]).double().numpy()
    targets = torch.cat([p.known_targets for p in parts]).numpy()
    distances = pairwise_distances(points)
    np.fill_diagonal(distances, np.inf)
    order = distances.argsort(axis=1, kind="stable")
    assert nearest_neighbors(torch.from_numpy(points), k).tolist() == order[:, :k].tolist()
    found = computed(parts, k)
    hits = targets[order] == targets[:, None]
    assert found["recall_at_1"] == pytest.approx(hits[:, 0].mean())
    assert found["recall_at_5"] == pytest.approx(hits[:, :5].any(axis=1).mean())
    expected = [majority(targets[row[:k]]) == target for row, target in zip(order, targets, strict=True)]
    assert found["knn_accuracy"] == pytest.approx(np.mean(expected))
    same = targets[:, None] == targets[None, :]
    others = ~np.eye(len(targets), dtype=bool)
    assert found["same_distance"] == pytest.approx(distances[same & others].mean())
    assert found["other_distance"] == pytest.approx(distances[~same].mean())


def test_neighbors_far_from_zero_are_those_near_it() -> None:
    points = torch.cat([p.outputs for p in predictions()]).double()
    far = points * 1e-3 + 1e6
    near = far - 1e6
    assert nearest_neighbors(far, 3).tolist() == nearest_neighbors(near, 3).tolist()
    targets = torch.arange(len(points)) % 3
    found, expected = (
        computed([Prediction(p, targets, torch.tensor(0.0), torch.arange(len(p)))], 3) for p in (far, near)
    )
    assert found["same_distance"] == pytest.approx(expected["same_distance"], rel=1e-9)


def majority(classes: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> int:
    """The most frequent class; of several the one of the nearest neighbor."""
    counts = np.bincount(classes, minlength=3)
    best = np.flatnonzero(counts == counts.max())
    return int(min(best, key=lambda c: np.flatnonzero(classes == c)[0]))


def test_one_neighbor_is_scikit_learns_classifier() -> None:
    parts = predictions(seed=3)
    points = torch.cat([p.outputs for p in parts]).numpy()
    targets = torch.cat([p.known_targets for p in parts]).numpy()
    right = [
        KNeighborsClassifier(1).fit(np.delete(points, n, 0), np.delete(targets, n)).predict(points[[n]])[0] == target
        for n, target in enumerate(targets)
    ]
    assert computed(parts, 1)["knn_accuracy"] == pytest.approx(np.mean(right))


def test_merged_states_are_one_over_all_samples() -> None:
    parts = predictions()
    left, right = NeighborState(3, 5), NeighborState(3, 5)
    for part in parts[:2]:
        left.update(part)
    for part in parts[2:]:
        right.update(part)
    left.merge(right)
    assert left.compute() == computed(parts, 5)


def test_a_tie_goes_to_the_nearer_and_a_majority_is_never_overruled() -> None:
    found = votes(torch.tensor([[2, 1, 1, 2], [0, 1, 1, 0], [0, 1, 2, 2]]), 3)
    assert found.argmax(1).tolist() == [2, 0, 2]
    torch.testing.assert_close(found.sum(1), torch.ones(3, dtype=torch.float64))
    for k in range(3, 40, 2):  # the nearest minority of one less than half
        classes = torch.tensor([[0] * (k // 2) + [1] * (k - k // 2)])
        assert votes(classes, 2).argmax().item() == 1


def test_a_sample_alone_is_missed_and_no_sample_is_an_error() -> None:
    alone = Prediction(torch.ones(1, 2), torch.tensor([0]), torch.tensor(0.0), torch.tensor([0]))
    found = computed([alone], 5)
    assert [found[name] for name in ("knn_accuracy", "recall_at_1", "same_distance", "other_distance")] == [0, 0, 0, 0]
    with pytest.raises(ValueError, match="no sample"):
        NeighborState(3, 5).compute()
