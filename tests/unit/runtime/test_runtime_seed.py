from __future__ import annotations

import io
import random

import numpy as np
import pytest
import torch

from dlexp.runtime.seed import (
    derive,
    generator,
    global_state,
    order,
    seed_global,
    seed_step,
    set_global_state,
    uniforms,
)


def test_derived_seeds_never_change() -> None:
    """Golden: another number here would give every old run other weights and batches on a repeat."""
    assert [derive(42, "init"), derive(42, "order", 0), derive(0), derive(7, "step", "train", 1, 2)] == GOLDEN


GOLDEN = [7341716816640803682, 4725003017325282147, 300471914551172981, 6416291659738403773]


def test_each_seed_purpose_and_position_has_a_seed_of_its_own() -> None:
    found = {derive(s, p, e, b) for s in range(5) for p in ("step", "order") for e in range(20) for b in range(20)}
    assert len(found) == 5 * 2 * 20 * 20
    assert all(0 <= value < 2**63 for value in found)


def test_generators_of_one_purpose_draw_the_same() -> None:
    first, second = (torch.rand(4, generator=generator(1, "a")) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, torch.rand(4, generator=generator(1, "b")))


def test_the_order_of_an_epoch_is_a_permutation_of_its_own() -> None:
    first = order(1000, 3, 0)
    assert torch.equal(first.sort().values, torch.arange(1000))
    assert torch.equal(order(1000, 3, 0), first)
    for other in (order(1000, 3, 1), order(1000, 4, 0), torch.arange(1000)):
        assert (other == first).sum() < 20


def test_uniforms_are_uniform() -> None:
    draws = uniforms(5, 2, torch.arange(100_000), 2).double()
    assert draws.min() >= 0
    assert draws.max() < 1
    for column in draws.unbind(1):
        assert column.mean() == pytest.approx(1 / 2, abs=0.004)
        assert column.var() == pytest.approx(1 / 12, abs=0.002)
        counts = torch.histc(column, 20, 0, 1)
        assert float(((counts - 5000) ** 2 / 5000).sum()) < 60  # chi-squared with 19 degrees; 1e-5 lie above
    assert abs(float(torch.corrcoef(draws.T)[0, 1])) < 0.015
    assert abs(float(torch.corrcoef(torch.stack([draws[1:, 0], draws[:-1, 0]]))[0, 1])) < 0.015


def test_uniforms_repeat_nothing_between_rows_draws_epochs_and_seeds() -> None:
    rows = torch.arange(500)
    found = torch.cat([uniforms(s, e, rows, 3).flatten() for s in range(3) for e in range(3)])
    # 13,500 draws of 2^24 values: about 5 pairs meet by chance
    assert len(found.unique()) > len(found) - 25


def test_uniforms_belong_to_the_row_and_not_to_its_batch() -> None:
    whole = uniforms(1, 4, torch.arange(50), 3)
    picked = torch.tensor([40, 3, 3, 17])
    assert torch.equal(uniforms(1, 4, picked, 3), whole[picked])
    assert torch.equal(uniforms(1, 4, picked, 1), whole[picked, :1])


def test_uniforms_never_change() -> None:
    found = uniforms(42, 1, torch.tensor([0, 1, 10**12]), 2)
    assert (found * 2**24).tolist() == GOLDEN_UNIFORMS


GOLDEN_UNIFORMS = [[4141539, 16373348], [1125657, 16233361], [533971, 1157440]]  # in units of 2^-24


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_global_seeds_reach_all_three_generators() -> None:
    seed_global(1, "init")
    first = draw()
    seed_global(1, "init")
    assert draw() == first
    seed_global(2, "init")
    assert all(a != b for a, b in zip(draw(), first, strict=True))


def test_a_step_seeds_torch_alone() -> None:
    seed_global(1)
    expected = (random.random(), np.random.rand())
    seed_global(1)
    seed_step(99)
    assert (random.random(), np.random.rand()) == expected
    seed_step(99)
    first = torch.rand(3)
    seed_step(99)
    assert torch.equal(torch.rand(3), first)


def test_global_state_comes_back_through_a_checkpoint() -> None:
    seed_global(3)
    random.gauss(0, 1)  # leaves a second number waiting, in Python and in NumPy
    np.random.randn(3)
    buffer = io.BytesIO()
    torch.save(global_state(), buffer)
    expected = [(random.gauss(0, 1), random.random(), float(np.random.randn())) for _ in range(5)]
    seed_global(4)
    buffer.seek(0)
    set_global_state(torch.load(buffer, weights_only=True))
    assert [(random.gauss(0, 1), random.random(), float(np.random.randn())) for _ in range(5)] == expected
