"""The energy distance: by hand, without bias, and the same for every order and share of the batches."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist, pdist
from torch import Tensor

from dlexp.metrics.generative.energy_distance import MOST, EnergyDistance, energy_distance
from dlexp.types import Prediction


def prediction(made: Tensor, data: Tensor, first: int = 0) -> Prediction:
    return Prediction(made, None, torch.tensor(0.0), torch.arange(first, first + len(made)), {"inputs": data})


def test_by_hand() -> None:
    left, right = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [5.0]])
    # 2 * mean(1, 5, 1, 3) - 2 - 4
    assert energy_distance(left, right) == pytest.approx(-1.0)


def test_it_equals_the_sums_of_scipy() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(40, 7)), rng.normal(1, 2, size=(30, 7))
    expected = 2 * cdist(left, right).mean() - pdist(left).mean() - pdist(right).mean()
    assert energy_distance(torch.from_numpy(left), torch.from_numpy(right)) == pytest.approx(expected, abs=1e-7)


def test_it_has_no_bias_and_sees_a_missing_mode() -> None:
    rng = torch.Generator().manual_seed(0)

    def drawn(modes: int) -> Tensor:
        centers = 4.0 * torch.randint(modes, (60, 1), generator=rng)
        return centers + 0.1 * torch.randn(60, 1, generator=rng)

    alike = [energy_distance(drawn(2), drawn(2)) for _ in range(200)]
    mean, error = float(np.mean(alike)), float(np.std(alike) / math.sqrt(len(alike)))
    assert abs(mean) < 3 * error and min(alike) < 0
    assert energy_distance(drawn(1), drawn(2)) > 0.5


def test_the_state_does_not_depend_on_batches_or_processes() -> None:
    made, data = torch.randn(2 * MOST + 3, 2), torch.randn(2 * MOST + 3, 2)
    whole = EnergyDistance()
    whole.update(prediction(made, data))
    shares = [EnergyDistance(), EnergyDistance()]
    for number, (some, real) in enumerate(zip(made.split(100), data.split(100), strict=True)):
        shares[(number + 1) % 2].update(prediction(some, real, 100 * number))
    shares[1].merge(pickle.loads(pickle.dumps(shares[0])))
    assert shares[1].compute() == whole.compute()
    assert whole._pairs is not None and len(whole._pairs) == MOST


def test_few_large_samples_are_kept_and_what_is_not_finite_is_said() -> None:
    state = EnergyDistance()
    state.update(prediction(torch.zeros(70, 3, 256, 256), torch.zeros(70, 3, 256, 256)))
    assert state._pairs is not None and len(state._pairs) == 50
    assert state.compute() == {"energy_distance": 0.0}
    broken = EnergyDistance()
    broken.update(prediction(torch.full((4, 2), math.nan), torch.zeros(4, 2)))
    assert math.isnan(broken.compute()["energy_distance"])
    with pytest.raises(ValueError, match="no sample"):
        EnergyDistance().compute()
