from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from dlexp.data import loaders
from dlexp.data.batches import bounds
from dlexp.data.bundle import DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.loaders import EvalBatches, TrainBatches
from dlexp.data.sources.sklearn_sets import digits, iris
from dlexp.types import Batch, as_tensor

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images() -> DataBundle:
    return digits(augment="crop_flip", pad=1)


def same(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(as_tensor(a.inputs), as_tensor(b.inputs))
        and torch.equal(as_tensor(a.targets), as_tensor(b.targets))
        and torch.equal(a.indices, b.indices)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 64, 1000])
@pytest.mark.parametrize("count", [1, 2, 3, 16, 17, 63, 64, 65, 129])
def test_bounds_cover_every_sample_once(count: int, size: int) -> None:
    found = bounds(count, size)
    assert (found[0][0], found[-1][1]) == (0, count)
    assert all(end == start for (_, end), (start, _) in pairwise(found))
    lengths = [end - start for start, end in found]
    assert all(length == size for length in lengths[:-1])
    assert 1 <= lengths[-1] <= size + 1
    # A batch of one has no variance: it comes only where there is no other way.
    assert size == 1 or count == 1 or 1 not in lengths


def test_training_batches_are_normalized_samples_of_train() -> None:
    bundle = iris(standardize=False)
    batches = list(TrainBatches(bundle, 16, 0, CPU).epoch(0))
    rows = torch.cat([batch.indices for batch in batches])
    assert sorted(rows.tolist()) == bundle.splits["train"].indices.tolist()
    by_row = {int(row): n for n, row in enumerate(bundle.splits["train"].indices)}
    for batch in batches:
        numbers = [by_row[int(row)] for row in batch.indices]
        assert torch.equal(as_tensor(batch.inputs), tensor_of(bundle.splits["train"].inputs)[numbers])
        assert torch.equal(as_tensor(batch.targets), tensor_of(bundle.splits["train"].targets)[numbers])


def test_epoch_started_in_the_middle_goes_on_the_same(images: DataBundle) -> None:  # R2
    train = TrainBatches(images, 100, 3, CPU)
    whole = list(train.epoch(2))
    assert len(whole) == len(train)
    for first in (0, 1, 5, len(train) - 1):
        assert same(list(TrainBatches(images, 100, 3, CPU).epoch(2, first)), whole[first:])
    assert list(train.epoch(2, len(train))) == []


def test_pixels_of_a_sample_do_not_depend_on_the_batch_size(images: DataBundle) -> None:  # R2
    def by_row(batch_size: int) -> dict[int, torch.Tensor]:
        batches = TrainBatches(images, batch_size, 3, CPU).epoch(1)
        return {
            int(row): image
            for batch in batches
            for row, image in zip(batch.indices, as_tensor(batch.inputs), strict=True)
        }

    small, large = by_row(7), by_row(256)
    assert small.keys() == large.keys()
    assert all(torch.equal(small[row], large[row]) for row in small)


def test_order_and_pixels_differ_between_epochs_and_seeds(images: DataBundle) -> None:
    first = next(TrainBatches(images, 50, 3, CPU).epoch(0))
    later = next(TrainBatches(images, 50, 3, CPU).epoch(1))
    other = next(TrainBatches(images, 50, 4, CPU).epoch(0))
    for batch in (later, other):
        assert not torch.equal(first.indices, batch.indices)
    shared = torch.cat([as_tensor(batch.inputs) for batch in TrainBatches(images, 50, 3, CPU).epoch(0)])
    assert shared.shape[0] == TrainBatches(images, 50, 3, CPU).num_samples


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("size", [1, 10, 1000])
def test_evaluation_sees_each_row_once_in_order_and_unchanged(images: DataBundle, split: str, size: int) -> None:
    batches = EvalBatches(images, split, size, CPU)
    found = list(batches)
    assert len(found) == len(batches)
    assert batches.num_samples == len(images.splits[split])
    assert torch.equal(torch.cat([batch.indices for batch in found]), images.splits[split].indices)
    assert torch.equal(
        torch.cat([as_tensor(batch.inputs) for batch in found]),
        as_tensor(images.preprocess(tensor_of(images.splits[split].inputs))),
    )
    assert same(found, list(batches))


@pytest.mark.parametrize("chunk", [1, 3 * 4 * 100 * 64, 1 << 30])
def test_how_many_batches_are_made_at_a_time_changes_nothing(
    images: DataBundle, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    usual = list(TrainBatches(images, 100, 3, CPU).epoch(1, 2))
    monkeypatch.setattr(loaders, "_CHUNK_BYTES", chunk)
    assert same(list(TrainBatches(images, 100, 3, CPU).epoch(1, 2)), usual)
