"""The part of a product that runs each time leaves out no value."""

from __future__ import annotations

from collections import Counter
from itertools import product

from combinations import some_of, spread
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 6))
def test_every_value_meets_its_share(num_left: int, num_right: int, meetings: int) -> None:
    left, right = list(range(num_left)), [f"r{n}" for n in range(num_right)]
    found = spread(left, right, meetings)
    per_left, per_right = Counter(one for one, _ in found), Counter(other for _, other in found)
    assert found <= set(product(left, right))
    assert per_left.keys() == set(left)
    assert per_right.keys() == set(right)
    assert min(per_left.values()) >= min(meetings, num_right)
    assert max(per_right.values()) - min(per_right.values()) <= 1
    assert found == spread(left, right, meetings)


def test_the_rest_of_a_product_is_exhaustive() -> None:
    cases = some_of(product("ab", "xyz"), {("a", "x"), ("b", "z")})
    assert [case.values for case in cases] == list(product("ab", "xyz"))
    assert [case.values for case in cases if not case.marks] == [("a", "x"), ("b", "z")]
    assert [mark.name for case in cases for mark in case.marks] == ["exhaustive"] * 4
