"""A synthetic regression table: a learnable target with noise of known variance.

Symbols: N samples, F features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.splitting import split_rows
from dlexp.data.tables.encoding import build_table

__all__ = ["synthetic_regression"]

_LINEAR, _PRODUCT, _SQUARE = 0.5, 0.25, 0.25  # fractions of the variance of the learnable part


def synthetic_regression(
    *,
    num_samples: int = 1000,
    num_features: int = 20,
    noise: float = 0.1,
    data_seed: int = 0,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    standardize: bool = True,
) -> DataBundle:
    """Draw normal features (F,) and a target (1,): a weighted sum, a product and a square of features, and noise.

    noise      its standard deviation relative to that of the learnable part: the best R2 is 1 / (1 + noise^2)
    data_seed  seed of the drawing only
    """
    features, targets = draw_table(num_samples, num_features, noise, data_seed)
    columns = {f"x{number + 1}": features[:, number] for number in range(num_features)}
    rows = split_rows(len(targets), (val_fraction, test_fraction, split_seed))
    return build_table(columns, targets[:, None], (), ("y",), rows, standardize)


def draw_table(
    count: int, num_features: int, noise: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(features (N, F), targets (N,)); sample n is a function of n, F, noise and seed.

    y = sqrt(0.5) w.x + sqrt(0.25) x1 x2 + sqrt(0.25) (x3^2 - 1) / sqrt(2) + noise e, with w of length 1 and x, e
    independent and standard normal: the three parts are uncorrelated, and y - noise e has mean 0 and variance 1.
    """
    weights_rng, rng = (np.random.default_rng([seed, stream]) for stream in range(2))
    weights = weights_rng.standard_normal(num_features)
    weights /= np.linalg.norm(weights)
    drawn = rng.standard_normal((count, num_features + 1))
    features = drawn[:, :-1]
    learnable = (
        np.sqrt(_LINEAR) * features @ weights
        + np.sqrt(_PRODUCT) * features[:, 0] * features[:, 1]
        + np.sqrt(_SQUARE / 2) * (features[:, 2] ** 2 - 1)
    )
    return features, learnable + noise * drawn[:, -1]
