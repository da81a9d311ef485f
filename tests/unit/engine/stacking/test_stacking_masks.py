"""Masks that a thread draws ahead are those that are drawn when they are needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor

from dlexp.engine.stacking import masks
from dlexp.engine.stacking.dropout import Draw, stacked_masks
from dlexp.engine.stacking.masks import MaskSource

CPU = torch.device("cpu")
DRAWS = [[Draw((5, 3), (3, 1), torch.float32, p), Draw((5, 2), (2, 1), torch.float32, 0.5)] for p in (0.2, 0.7)]
SHORT = [[Draw((4, 3), (3, 1), torch.float32, p)] for p in (0.2, 0.7)]


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Iterator[MaskSource]:
    monkeypatch.setattr(masks, "available_cores", lambda environ: (64, "as a test needs"))
    found = MaskSource(2, CPU)
    yield found
    found.close()


def expected(seeds: Sequence[int], parts: Sequence[Sequence[Sequence[Draw]]]) -> list[list[Tensor]]:
    """Those of members that draw alone."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return [stacked_masks(part, generators) for part in parts]


def test_masks_are_those_of_the_seeds_whether_or_not_they_were_foreseen(source: MaskSource) -> None:
    turns = [
        ([1, 2], [DRAWS], [3, 4]),
        ([3, 4], [DRAWS], [5, 6]),  # as foreseen
        ([3, 4], [DRAWS], [5, 6]),  # the same again
        ([5, 6], [SHORT], [7, 8]),  # another shape
        ([9, 9], [DRAWS, DRAWS], [10, 11]),  # other seeds, and two micro batches
        ([10, 11], [DRAWS, DRAWS], [12, 13]),
    ]
    for seeds, parts, following in turns:
        for found, own in zip(source.masks(seeds, parts, following), expected(seeds, parts), strict=True):
            assert len(found) == len(own)
            assert all(torch.equal(mask, wanted) for mask, wanted in zip(found, own, strict=True))


def test_a_foreseen_update_is_drawn_once_and_by_the_thread(source: MaskSource, monkeypatch: pytest.MonkeyPatch) -> None:
    drawers: list[str] = []

    def noted(part: Sequence[Sequence[Draw]], generators: Sequence[torch.Generator]) -> list[Tensor]:
        drawers.append(threading.current_thread().name)
        return stacked_masks(part, generators)

    monkeypatch.setattr(masks, "stacked_masks", noted)
    source.masks([1, 2], [DRAWS], [3, 4])
    source.masks([3, 4], [DRAWS], [5, 6])
    source.masks([5, 6], [DRAWS], [7, 8])
    source.close()
    here = threading.current_thread().name
    assert drawers.count(here) == 1  # the first update
    assert len(drawers) in (3, 4)  # the last is cancelled where it has not begun


def test_a_process_with_one_core_draws_nothing_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "available_cores", lambda environ: (1, "as a test needs"))
    before = threading.active_count()
    source = MaskSource(2, CPU)
    found = source.masks([1, 2], [DRAWS], [3, 4])
    assert torch.equal(found[0][0], expected([1, 2], [DRAWS])[0][0])
    assert threading.active_count() == before


def test_a_network_that_draws_nothing_needs_no_masks(source: MaskSource) -> None:
    assert source.masks([1, 2], [[[], []], [[], []]], [3, 4]) == [[], []]
