"""Moments of numbers of any size, and which deviation is rounding alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from dlexp.runtime.rounding import mean_and_std, power_of_two

_DRAWN = np.random.default_rng(0).normal(size=500)


@pytest.mark.parametrize("factor", [1.0, 1e-14, 1e-200, 1e200, 3e299 / 4])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_moments_of_any_size_are_exact(factor: float, offset: float) -> None:
    values = (_DRAWN + offset) * factor if offset * factor < 1e300 else _DRAWN * factor
    exact = [Fraction(value) for value in values.tolist()]
    middle = sum(exact) / len(exact)
    variance = sum((value - middle) ** 2 for value in exact) / len(exact)
    mean, std = mean_and_std(values)
    assert float(mean) == pytest.approx(float(middle), rel=1e-12)
    scaled = Fraction(float(std)) ** 2 / variance
    assert float(scaled) == pytest.approx(1.0, rel=1e-9)


def test_usual_numbers_have_the_bits_of_numpy() -> None:
    columns = np.stack([_DRAWN, 50 + 9 * _DRAWN], axis=1)
    mean, std = mean_and_std(columns)
    assert np.array_equal(mean, columns.mean(axis=0)) and np.array_equal(std, columns.std(axis=0))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e-300, 1.7e9, 1e300])
def test_equal_numbers_and_rounding_have_no_deviation(value: float) -> None:
    values = np.full(997, value)
    assert mean_and_std(values)[1] == 0
    values[::3] = np.nextafter(value, np.inf)
    assert mean_and_std(values)[1] == 0 or value == 0
    values[::3] = value * (1 + 1e-12)
    assert mean_and_std(values)[1] > 0 or value == 0


def test_a_power_of_two_is_one() -> None:
    for size in (1e-300, 3e-5, 1.0, 7.0, 1e300):
        factor = power_of_two(size)
        assert np.frexp(factor)[0] == 0.5 and 1 <= factor / size <= 2
    assert power_of_two(0.0) == power_of_two(np.inf) == 1.0
