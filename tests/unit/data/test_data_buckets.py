"""Batches of similar lengths: every sample once, a function of (seed, epoch), resumed anywhere, with little padding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dlexp.data.batches import Buckets, bounds
from dlexp.data.bundle import DataBundle, Split
from dlexp.data.columns import Dense, Ragged
from dlexp.data.loaders import TrainBatches
from dlexp.data.preprocess import Identity
from dlexp.sequence_specs import TokenSpec
from dlexp.specs import ClassSpec, DataSpec
from dlexp.types import Batch, Sequences

CPU = torch.device("cpu")


def made(count: int, bucket: bool = True) -> DataBundle:
    """Sequences of log-normal lengths, each of its own number."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(np.log(20), 0.8, count).astype(np.int64), 0, 400)
    column = Ragged(
        torch.from_numpy(np.repeat(np.arange(count), lengths)),
        torch.from_numpy(np.concatenate([[0], lengths.cumsum()])),
    )
    split = Split(column, Dense(torch.from_numpy(rng.integers(0, 2, count))), torch.arange(count))
    spec = DataSpec(TokenSpec(count, 400), ClassSpec(("a", "b")))
    return DataBundle(spec, dict.fromkeys(("train", "val", "test"), split), Identity(), "", {}, bucket=bucket)


def rows(batches: list[Batch]) -> list[list[int]]:
    return [batch.indices.tolist() for batch in batches]


def padded(batches: list[Batch]) -> int:
    return sum(batch.inputs.values.numel() for batch in batches if isinstance(batch.inputs, Sequences))


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("count", [1, 5, 31, 64, 65, 66, 500, 513])
def test_an_epoch_has_every_sample_once_in_the_sizes_of_plain_batches(count: int, balanced: bool) -> None:
    bundle = made(count)
    batches = list(TrainBatches(bundle, 8, 3, CPU, balanced=balanced).epoch(2))
    plain = list(TrainBatches(replace(bundle, bucket=False), 8, 3, CPU, balanced=balanced).epoch(2))
    assert [len(batch) for batch in batches] == [end - start for start, end in bounds(count, 8)]
    one, other = (sorted(row for batch in rows(found) for row in batch) for found in (batches, plain))
    assert one == other
    for batch in batches:
        assert isinstance(batch.inputs, Sequences)
        for number, values, length in zip(batch.indices, batch.inputs.values, batch.inputs.lengths, strict=True):
            assert (values[:length] == number).all() and not values[length:].any()


def test_the_order_is_a_function_of_seed_and_epoch_and_starts_anywhere() -> None:
    bundle = made(500)
    loader = TrainBatches(bundle, 8, 3, CPU)
    whole = rows(list(loader.epoch(4)))
    for first in (1, 17, len(whole) - 1):
        assert rows(list(TrainBatches(bundle, 8, 3, CPU).epoch(4, first))) == whole[first:]
    others = [rows(list(loader.epoch(5))), rows(list(loader.epoch(4, attempt=1)))]
    others.append(rows(list(TrainBatches(bundle, 8, 4, CPU).epoch(4))))
    assert all(other != whole for other in others)


def test_most_padding_goes_and_batches_come_in_no_order_of_length() -> None:
    bundle = made(3000)
    needed = int(bundle.splits["train"].inputs.offsets[-1])  # type: ignore[attr-defined]
    short = list(TrainBatches(bundle, 16, 0, CPU).epoch(0))
    plain = list(TrainBatches(replace(bundle, bucket=False), 16, 0, CPU).epoch(0))
    assert padded(plain) > 1.7 * needed and padded(short) < 1.2 * needed
    longest = torch.tensor([batch.inputs.values.shape[1] for batch in short if isinstance(batch.inputs, Sequences)])
    places = torch.arange(len(longest))
    assert abs(float(torch.corrcoef(torch.stack([longest.float(), places.float()]))[0, 1])) < 0.25


def test_the_short_last_batch_holds_other_samples_in_each_epoch_and_any_lengths() -> None:
    bundle = made(509)  # 31 batches of 16, and 13
    lengths = bundle.splits["train"].inputs.offsets.diff()  # type: ignore[attr-defined]
    loader = TrainBatches(bundle, 16, 0, CPU)
    last = [list(loader.epoch(epoch))[-1].indices for epoch in range(40)]
    assert all(len(one) == 13 for one in last)
    means = [float(lengths[one].float().mean()) for one in last]
    assert abs(np.mean(means) - float(lengths.float().mean())) < 3 * np.std(means) / np.sqrt(len(means))


def test_few_samples_meet_others_in_each_epoch() -> None:
    bundle = made(40)
    loader = TrainBatches(bundle, 8, 0, CPU)
    assert len({frozenset(batch) for epoch in range(6) for batch in rows(list(loader.epoch(epoch)))}) > 20


def test_targets_that_are_sequences_count_and_other_data_has_no_buckets() -> None:
    bundle = made(30)
    split = bundle.splits["train"]
    pairs = replace(split, targets=split.inputs)
    found = Buckets.of(replace(bundle, splits={**bundle.splits, "train": pairs}), 4, 0)
    assert found is not None and torch.equal(found.lengths, 2 * split.inputs.offsets.diff())  # type: ignore[attr-defined]
    assert Buckets.of(replace(bundle, bucket=False), 4, 0) is None
    dense = replace(split, inputs=Dense(torch.zeros(30, 3)))
    assert Buckets.of(replace(bundle, splits={**bundle.splits, "train": dense}), 4, 0) is None
