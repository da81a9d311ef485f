"""Balanced sampling: equal places of all classes, all samples in turn, the same wherever an epoch begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dlexp.data.balancing import BalancedOrder, balance_notes
from dlexp.data.loaders import TrainBatches
from dlexp.data.sources.image_folder import image_folder
from dlexp.data.sources.sklearn_sets import digits
from dlexp.types import Batch, as_tensor

CPU = torch.device("cpu")
LABELS = torch.tensor([0] * 90 + [1] * 9 + [2] * 4)[torch.randperm(103, generator=torch.Generator().manual_seed(0))]


def equal(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(as_tensor(a.inputs), as_tensor(b.inputs)) and torch.equal(a.indices, b.indices)
        for a, b in zip(one, other, strict=True)
    )


def test_each_class_fills_the_same_number_of_places() -> None:
    made = BalancedOrder(LABELS, 7)
    assert made.places() == [35, 34, 34]
    for epoch in range(5):
        positions = made.epoch(epoch).positions
        assert len(positions) == len(LABELS)
        assert LABELS[positions].bincount().tolist() == [35, 34, 34]


def test_all_samples_of_a_class_are_seen_equally_often() -> None:
    made = BalancedOrder(LABELS, 7)
    seen = torch.zeros(len(LABELS), dtype=torch.int64)
    for epoch in range(11):
        seen += made.epoch(epoch).positions.bincount(minlength=len(LABELS))
        for number in range(3):
            own = seen[number == LABELS]
            assert int(own.max() - own.min()) <= 1
    assert [round(float(seen[number == LABELS].double().mean()), 2) for number in range(3)] == [4.28, 41.56, 93.5]


def test_an_epoch_is_a_function_of_seed_epoch_and_attempt() -> None:
    first, again = BalancedOrder(LABELS, 7), BalancedOrder(LABELS, 7)
    again.epoch(0)
    assert torch.equal(first.epoch(3).positions, again.epoch(3).positions)
    assert not torch.equal(first.epoch(3).positions, BalancedOrder(LABELS, 8).epoch(3).positions)
    other = first.epoch(3, attempt=1).positions
    assert not torch.equal(first.epoch(3).positions, other)
    assert torch.equal(first.epoch(3).positions.sort().values, other.sort().values)


def test_occurrences_of_a_sample_in_an_epoch_have_different_numbers() -> None:
    made = BalancedOrder(LABELS, 7)
    for epoch in range(4):
        found = made.epoch(epoch)
        pairs = torch.stack([found.positions, found.again], dim=1)
        assert len(pairs.unique(dim=0)) == len(pairs)


def test_balanced_batches_begun_in_the_middle_are_the_same_and_change_a_sample_anew() -> None:
    bundle = digits(augment="crop_flip", pad=2, train_per_class=None, classes=[0, 1, 2])
    train = TrainBatches(bundle, 50, 3, CPU, balanced=True)
    whole = list(train.epoch(2))
    for first in (0, 1, 4):
        assert equal(list(TrainBatches(bundle, 50, 3, CPU, balanced=True).epoch(2, first)), whole[first:])
    assert train.num_samples == len(bundle.splits["train"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    noise = torch.Generator().manual_seed(0)
    for name, count in (("many", 40), ("few", 6)):
        (tmp_path / name).mkdir()
        for number in range(count):
            pixels = torch.randint(0, 256, (12, 12, 3), generator=noise, dtype=torch.uint8)
            Image.fromarray(pixels.numpy()).save(tmp_path / name / f"{number}.png")
    return tmp_path


def test_streamed_and_kept_images_are_sampled_and_changed_alike(folder: Path) -> None:
    words: dict[str, Any] = {"path": str(folder), "image_size": 12, "augment": "crop_flip", "pad": 3}
    kept = image_folder(**words, in_memory=True)
    found = list(TrainBatches(kept, 5, 1, CPU, balanced=True).epoch(1))
    for workers in (0, 2):
        streamed = image_folder(**words, in_memory=False, workers=workers)
        assert equal(found, list(TrainBatches(streamed, 5, 1, CPU, balanced=True).epoch(1)))
    inputs, indices = torch.cat([as_tensor(b.inputs) for b in found]), torch.cat([b.indices for b in found])
    often = int(indices.bincount().argmax())
    assert len(inputs[indices == often].unique(dim=0)) > 1  # the rare image comes several times, never quite the same


def test_what_changes_is_named_with_its_numbers() -> None:
    (sampling,) = balance_notes("sampling", (10, 90), ("rare", "usual"))
    assert "50.0%" in sampling and "10.0%" in sampling and "5 times for 'rare'" in sampling
    assert "0.56 times for 'usual'" in sampling and "data.balance=none" in sampling
    assert "trainer.monitor=val/balanced_accuracy" in sampling
    (weights,) = balance_notes("weights", (10, 90), ("rare", "usual"))
    assert "5 for 'rare'" in weights and "data.balance=none" in weights
    assert balance_notes("none", (10, 90), ("rare", "usual")) == []
    assert "changes little" in balance_notes("weights", (10, 10), ("a", "b"))[0]
