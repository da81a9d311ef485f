from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from dlexp.artifacts.checkpoints.state_diff import Compared, StateDifference, state_differences


def between(one: Any, other: Any) -> list[StateDifference]:
    return list(state_differences(one, other, Compared()))


def test_equal_states_have_no_difference_and_everything_is_counted() -> None:
    weights = torch.arange(6.0).reshape(2, 3)
    state = {"w": weights, "s": torch.tensor(1.5), "more": [1, (2.0, None)], "nan": math.nan}
    counted = Compared()
    assert list(state_differences(state, {**state, "w": weights.clone()}, counted)) == []
    assert (counted.tensors, counted.numbers, counted.values) == (2, 7, 4)


def test_a_tensor_is_named_with_how_much_it_differs_and_where_first() -> None:
    one = torch.zeros(2, 3)
    other = one.clone()
    other[0, 2], other[1, 1] = 0.25, -0.5
    (found,) = between({"a": {"w": one}}, {"a": {"w": other}})
    assert found.where == "a/w"
    assert found.largest == 0.5
    assert found.is_tensor
    assert all(text in str(found) for text in ("a/w: ", "2 of 6", "0.5", "[0, 2]: 0.0 and 0.25"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.tensor([0.0]), torch.tensor([-0.0])),
        (torch.tensor([1.0]), torch.tensor([1.0 + 2**-23])),
        (torch.tensor(1.0), torch.tensor(math.nan)),
        (torch.tensor([1.0]), torch.tensor([1.0], dtype=torch.float64)),
        (torch.tensor([1.0]), torch.tensor([[1.0]])),
        (torch.tensor([True]), torch.tensor([False])),
        (torch.tensor([1.0], dtype=torch.bfloat16), torch.tensor([1.0078125], dtype=torch.bfloat16)),
        (torch.tensor([1.0]), 1.0),
        (0.0, -0.0),
        (1, 1.0),
        (True, 1),
        ([1], [1, 2]),
        ("0.1", "0.10000000000000001"),
    ],
)
def test_one_bit_or_another_type_is_a_difference(one: Any, other: Any) -> None:
    assert len(between([one], [other])) == 1


@pytest.mark.parametrize("value", [torch.tensor([math.nan, math.inf, -0.0]), math.nan, torch.zeros(0, 3), None, {}])
def test_the_same_bits_are_equal_whatever_they_mean(value: Any) -> None:
    assert between([value], [value.clone() if isinstance(value, torch.Tensor) else value]) == []


def test_keys_of_either_side_are_named_and_the_order_is_that_of_the_first() -> None:
    found = between({"b": 1, "a": 2, "only": 0}, {"a": 3, "b": 4, "new": 0})
    assert [(one.where, one.what) for one in found] == [
        ("b", "1 and 4"),
        ("a", "2 and 3"),
        ("only", "is missing in the second"),
        ("new", "is missing in the first"),
    ]
    assert found[0].largest == 3.0


def test_nan_against_a_number_is_infinitely_far() -> None:
    (found,) = between(torch.tensor([1.0, 2.0]), torch.tensor([math.nan, 2.0]))
    assert found.largest == math.inf


@pytest.mark.parametrize(
    ("one", "other", "largest"),
    [
        (torch.tensor([2**60]), torch.tensor([2**60 + 1]), 1.0),  # float64 would round both to the same
        (torch.tensor([1 + 2j]), torch.tensor([1 - 1j]), 3.0),
        (torch.tensor([True]), torch.tensor([False]), 1.0),
        (float("nan"), 1.0, float("inf")),
        (float("inf"), float("-inf"), float("inf")),
        (2**60, 2**60 + 1, 1.0),
    ],
)
def test_the_distance_of_numbers_of_any_kind(one: Any, other: Any, largest: float) -> None:
    (found,) = state_differences({"x": one}, {"x": other}, Compared())
    assert found.largest == largest
