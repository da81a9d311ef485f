"""Traits of optimizers: declared by dlexp's own classes, derived for those of libraries."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from dlexp.optim.optimizers.third_party import lbfgs, schedule_free_adamw
from dlexp.optim.optimizers.wrappers import lookahead, sam
from dlexp.optim.traits import OptimizerTraits, traits_of

PLAIN = OptimizerTraits()
AVERAGING = OptimizerTraits(keeps_average=True)


def made(name: str) -> Optimizer:
    params = [{"params": [nn.Parameter(torch.ones(2))]}]
    if name == "adam":
        return torch.optim.Adam(params)
    makers: dict[str, Callable[..., Optimizer]] = {
        "lbfgs": lbfgs,
        "sam": sam,
        "lookahead": lookahead,
        "schedule_free": schedule_free_adamw,
    }
    return makers[name](params=params)


@pytest.mark.parametrize(
    ("name", "traits"),
    [
        ("adam", PLAIN),
        ("lbfgs", OptimizerTraits(needs_closure=True, has_line_search=True)),
        ("sam", OptimizerTraits(needs_closure=True)),
        ("lookahead", AVERAGING),
        ("schedule_free", AVERAGING),
    ],
)
def test_every_kind_has_its_traits_and_so_has_a_copy(name: str, traits: OptimizerTraits) -> None:
    optimizer = made(name)
    assert traits_of(optimizer) == traits_of(copy.deepcopy(optimizer)) == traits


def test_what_is_no_declaration_is_not_taken_for_one() -> None:
    class Own(torch.optim.SGD):
        traits = "fast"

    assert traits_of(Own([nn.Parameter(torch.ones(2))], lr=0.1)) == PLAIN
