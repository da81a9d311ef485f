"""Mixing and erasing against their formulas; what is drawn depends on the place alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.losses.classification import CrossEntropy
from dlexp.losses.regression import MSE
from dlexp.regularization.mixing import BatchChanges, ChangedBatches, cut_mixed, erased, mixed_up
from dlexp.runtime.seed import generator, uniforms
from dlexp.specs import ClassSpec, DataSpec, ImageSpec, TableSpec, ValueSpec
from dlexp.tasks.classification import Classification
from dlexp.tasks.regression import Regression
from dlexp.types import Batch, as_tensor

SIZE, COUNT = 12, 5
CLASSES = DataSpec(ImageSpec(2, SIZE, SIZE), ClassSpec(("a", "b", "c")))
VALUES = DataSpec(TableSpec(4), ValueSpec(("y",), (2.0,), (3.0,)))


def images(count: int = COUNT, first: int = 0) -> Batch:
    rng = generator(0, "images", first)
    inputs = torch.rand(count, 2, SIZE, SIZE, generator=rng, dtype=torch.float64) + 1
    return Batch(inputs, torch.arange(first, first + count) % 3, torch.arange(first, first + count))


class Source:
    """Three batches an epoch, the last of one sample."""

    num_samples = 11

    def __len__(self) -> int:
        return 3

    def epoch(self, epoch: int, first_batch: int = 0, attempt: int = 0) -> Iterator[Batch]:
        yield from [images(5, 0), images(5, 5), images(1, 10)][first_batch:]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_mixup_is_the_weighted_sum_with_the_next_sample(share: float) -> None:
    batch = images()
    found = mixed_up(batch, share)
    for number in range(COUNT):
        after = (number + 1) % COUNT
        wanted = share * as_tensor(batch.inputs)[number] + (1 - share) * as_tensor(batch.inputs)[after]
        torch.testing.assert_close(as_tensor(found.inputs)[number], wanted)
        assert found.mixed is not None
        assert as_tensor(found.mixed.targets)[number] == as_tensor(batch.targets)[after]
    assert torch.equal(as_tensor(found.targets), as_tensor(batch.targets))
    assert found.mixed is not None
    assert found.mixed.share == share


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_loss_of_a_mixed_batch_is_that_of_soft_targets(share: float, smoothing: float) -> None:
    batch = mixed_up(images(), share)
    model = nn.Sequential(nn.Flatten(), nn.Linear(2 * SIZE * SIZE, 3, dtype=torch.float64))
    task = Classification(spec=CLASSES, loss=CrossEntropy(smoothing))
    found = task.loss("train", {"model": model}, batch)
    assert batch.mixed is not None
    first, second = (
        F.one_hot(targets, 3).double() for targets in (as_tensor(batch.targets), as_tensor(batch.mixed.targets))
    )
    soft = share * first + (1 - share) * second
    logits = model(batch.inputs)
    wanted = F.cross_entropy(logits, soft, label_smoothing=smoothing)
    torch.testing.assert_close(found.value, wanted)
    chosen = logits.argmax(1)
    torch.testing.assert_close(found.parts["mixed_accuracy"].double(), soft[torch.arange(COUNT), chosen].mean())
    assert "accuracy" not in found.parts


def test_the_target_of_a_mixed_value_lies_between_the_two() -> None:
    inputs, targets = torch.rand(4, 4, generator=generator(1)), torch.tensor([[1.0], [2.0], [5.0], [9.0]])
    batch = Batch(inputs, targets, torch.arange(4))
    model, task = nn.Linear(4, 1), Regression(spec=VALUES, loss=MSE())
    found = task.loss("train", {"model": model}, mixed_up(batch, 0.75))
    between = (0.75 * targets + 0.25 * targets.roll(-1, 0) - 2) / 3
    mixed = 0.75 * inputs + 0.25 * inputs.roll(-1, 0)
    torch.testing.assert_close(found.value, F.mse_loss(model(mixed), between))


@pytest.mark.parametrize("center", [(0.0, 0.0), (0.5, 0.5), (0.99, 0.2)])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 1.0])
def test_cutmix_says_which_share_of_the_pixels_it_kept(share: float, center: tuple[float, float]) -> None:
    batch = images()
    found = cut_mixed(batch, share, center)
    other = as_tensor(batch.inputs).roll(-1, 0)
    inputs = as_tensor(found.inputs)
    own = (inputs == as_tensor(batch.inputs)).all(1)
    assert torch.equal(own | (inputs == other).all(1), torch.ones_like(own))
    assert found.mixed is not None
    assert own.double().mean().item() == pytest.approx(found.mixed.share)
    assert found.mixed.share >= share - 1e-9  # sides are rounded down, and cut off at the borders
    if center == (0.5, 0.5):  # nothing is cut off; sides are whole and even numbers of pixels
        assert abs(found.mixed.share - share) <= 1 - (1 - 2 / SIZE) ** 2
    assert torch.equal(as_tensor(batch.inputs), as_tensor(images().inputs))


def test_an_erased_rectangle_has_the_size_that_was_drawn() -> None:
    pictures = torch.ones(400, 1, 32, 32)
    draws = uniforms(1, 0, torch.arange(400), 5, "erase")
    found = erased(pictures, draws, 1.0)
    for number in range(400):
        gone = (found[number, 0] == 0).nonzero()
        (top, left), (bottom, right) = gone.min(0).values.tolist(), gone.max(0).values.tolist()
        height, width = bottom - top + 1, right - left + 1
        assert len(gone) == height * width
        area = 1024 * (0.02 + (1 / 3 - 0.02) * draws[number, 1].item())
        assert height * width <= area * 1.3 + 3
        if height < 32 and width < 32:
            assert height * width == pytest.approx(area, rel=0.3, abs=4)
    assert torch.equal(erased(pictures, draws, 0.0), pictures)
    half = (erased(pictures, draws, 0.5) == 0).flatten(1).any(1)
    assert torch.equal(half, draws[:, 0] < 0.5)
    reached = (found == 0).any(0)[0]
    assert reached.any(0).all()
    assert reached.any(1).all()


def test_what_is_erased_belongs_to_the_sample_and_the_epoch() -> None:
    batches = ChangedBatches(Source(), BatchChanges(erasing=1.0), seed=3)
    first = list(batches.epoch(0))
    together = torch.cat([as_tensor(batch.inputs) for batch in first])
    alone = [
        erased(as_tensor(images(1, n).inputs), uniforms(3, 0, torch.tensor([n]), 5, "erase"), 1.0) == 0
        for n in range(11)
    ]
    assert torch.equal(together == 0, torch.cat(alone))
    later = torch.cat([as_tensor(batch.inputs) for batch in batches.epoch(1)])
    assert not torch.equal(together == 0, later == 0)
    assert all(batch.mixed is None for batch in first)
    assert (len(batches), batches.num_samples) == (3, 11)


def values(batches: ChangedBatches, epoch: int, first: int = 0, attempt: int = 0) -> list[tuple[Tensor, float | None]]:
    found = batches.epoch(epoch, first, attempt)
    return [(as_tensor(batch.inputs), None if batch.mixed is None else batch.mixed.share) for batch in found]


@pytest.mark.parametrize(
    "changes", [BatchChanges(mixup=0.4), BatchChanges(cutmix=1.0), BatchChanges(0.4, 1.0, 0.7, 0.5)]
)
def test_a_batch_is_the_same_wherever_the_epoch_is_begun(changes: BatchChanges) -> None:
    batches = ChangedBatches(Source(), changes, seed=3)
    whole = values(batches, 4)
    for first in range(3):
        rest = values(batches, 4, first)
        assert len(rest) == 3 - first
        for (inputs, share), (again, same) in zip(whole[first:], rest, strict=True):
            assert torch.equal(inputs, again)
            assert share == same
    shares = [share for _, share in whole]
    assert shares != [share for _, share in values(batches, 5)]
    assert shares != [share for _, share in values(batches, 4, 0, 1)]
    assert shares != [share for _, share in values(ChangedBatches(Source(), changes, seed=4), 4)]
    assert shares[-1] == 1.0  # a single sample has none to be mixed with, and is counted like the others


def test_how_often_each_kind_of_mixing_comes() -> None:
    batches = ChangedBatches(Source(), BatchChanges(mixup=0.4, cutmix=1.0, probability=0.5), seed=0)
    plain = cut = mixed = 0
    for epoch in range(200):
        for batch, source in list(zip(batches.epoch(epoch), Source().epoch(epoch), strict=True))[:2]:
            inputs, other = as_tensor(batch.inputs), as_tensor(source.inputs).roll(-1, 0)
            if (
                torch.equal(as_tensor(batch.inputs), as_tensor(source.inputs))
                and batch.mixed is not None
                and batch.mixed.share == 1
            ):
                plain += 1
            elif bool(((inputs == as_tensor(source.inputs)) | (inputs == other)).all()):
                cut += 1
            else:
                mixed += 1
    assert plain + cut + mixed == 400
    assert 150 < plain < 260
    assert 60 < cut < 140
    assert 60 < mixed < 140


def test_mixup_draws_from_a_symmetric_beta_distribution() -> None:
    batches = ChangedBatches(Source(), BatchChanges(mixup=0.2), seed=0)
    shares = torch.tensor([batch.mixed.share for e in range(300) for batch in batches.epoch(e) if batch.mixed])
    shares = shares[shares < 1]
    assert shares.mean().item() == pytest.approx(0.5, abs=0.06)
    assert shares.var().item() == pytest.approx(0.25 / 1.4, rel=0.15)  # 1 / (4 (2 alpha + 1))


def test_no_change_is_false() -> None:
    assert not BatchChanges()
    assert not BatchChanges(probability=1.0)
    assert BatchChanges(erasing=0.1)
    assert not BatchChanges(erasing=0.1).mixes
    assert BatchChanges(mixup=0.1).mixes
