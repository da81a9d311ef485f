"""Student's t against scipy's, from one degree of freedom to very many."""

from __future__ import annotations

import pytest
from scipy import stats

from dlexp.metrics.intervals.student_t import two_sided, two_sided_point

DEGREES = [1.0, 1.5, 2.0, 3.3, 10.0, 29.7, 200.0, 1e5]


@pytest.mark.parametrize("degrees", DEGREES)
def test_it_is_scipys(degrees: float) -> None:
    for t in (0.0, 0.01, 0.7, 1.96, 5.0, 40.0):
        assert two_sided(t, degrees) == pytest.approx(2 * stats.t.sf(t, degrees), rel=1e-8)
        assert two_sided(-t, degrees) == two_sided(t, degrees)
    for probability in (0.9, 0.5, 0.05, 0.01, 0.05 / 190, 1e-9):
        point = two_sided_point(probability, degrees)
        assert point == pytest.approx(stats.t.isf(probability / 2, degrees), rel=1e-8)


def test_there_is_nothing_beyond_infinity() -> None:
    assert two_sided(float("inf"), 3) == 0
    assert two_sided_point(0.05, 1e9) == pytest.approx(1.959964, abs=1e-6)


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1])
def test_what_is_no_probability_is_refused(probability: float) -> None:
    with pytest.raises(ValueError, match=str(probability)):
        two_sided_point(probability, 3)


def test_degrees_must_be_positive() -> None:
    with pytest.raises(ValueError, match="degrees=0"):
        two_sided(1.0, 0)
