from __future__ import annotations

from collections.abc import Callable
from math import erf, sqrt

import pytest
import torch
from refusals import refused
from sklearn.datasets import load_digits
from typed_specs import values_of

from dlexp.data.bundle import SPLITS, DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.images.domain_shift import DOMAINS
from dlexp.data.sources import sklearn_sets
from dlexp.errors import DataError
from dlexp.types import as_tensor

SETS: dict[str, tuple[tuple[int, ...], int, int]] = {
    "digits": ((1, 8, 8), 1797, 10),
    "iris": ((4,), 150, 3),
    "wine": ((13,), 178, 3),
    "breast_cancer": ((30,), 569, 2),
    "diabetes": ((10,), 442, 1),
}


def source(name: str) -> Callable[..., DataBundle]:
    found: Callable[..., DataBundle] = getattr(sklearn_sets, name)
    return found


def test_every_set_is_looked_at() -> None:
    assert set(SETS) == set(sklearn_sets.__all__)


def test_digits_are_those_of_scikit_learn_and_its_loader_is_asked_where_the_file_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = sklearn_sets.digits()
    found = load_digits()
    for split in read.splits.values():
        assert torch.equal(tensor_of(split.inputs)[:, 0], torch.tensor(found.images, dtype=torch.uint8)[split.indices])
        assert torch.equal(tensor_of(split.targets), torch.tensor(found.target)[split.indices])
    monkeypatch.setattr(sklearn_sets, "find_spec", lambda name: None)
    assert sklearn_sets.digits().fingerprint == read.fingerprint


@pytest.mark.parametrize("name", SETS)
def test_shapes_sizes_and_outputs(name: str) -> None:
    shape, count, outputs = SETS[name]
    bundle = source(name)()
    assert (bundle.spec.inputs.shape, sum(bundle.sizes().values()), bundle.spec.num_outputs) == (shape, count, outputs)
    for split in bundle.splits.values():
        assert tensor_of(split.inputs).shape == (len(split), *shape)
        assert split.indices.dtype == torch.int64
        if bundle.spec.target_kind == "class":
            assert tensor_of(split.targets).unique().tolist() == list(range(outputs))
            assert tensor_of(split.targets).dtype == torch.int64
        else:
            assert tensor_of(split.targets).shape == (len(split), 1)
            assert tensor_of(split.targets).dtype == torch.float64
    assert len(bundle.spec.output_names) == outputs


@pytest.mark.parametrize("name", SETS)
def test_splits_share_no_row_and_miss_none(name: str) -> None:
    bundle = source(name)(split_seed=3)
    rows = torch.cat([bundle.splits[split].indices for split in SPLITS])
    assert sorted(rows.tolist()) == list(range(SETS[name][1]))


@pytest.mark.parametrize("name", SETS)
def test_same_seed_same_splits_and_the_samples_do_not_change(name: str) -> None:
    first, again, other = source(name)(split_seed=1), source(name)(split_seed=1), source(name)(split_seed=2)
    assert (first.split_hash, first.fingerprint) == (again.split_hash, again.fingerprint)
    assert other.split_hash != first.split_hash


def test_fingerprint_of_digits_is_that_of_the_samples_alone() -> None:
    assert sklearn_sets.digits(split_seed=1).fingerprint == sklearn_sets.digits(split_seed=2).fingerprint


def test_digits_are_pixels_that_become_standard_numbers() -> None:
    bundle = sklearn_sets.digits()
    pixels = tensor_of(bundle.splits["train"].inputs)
    assert (pixels.dtype, int(pixels.min()), int(pixels.max())) == (torch.uint8, 0, 16)
    numbers = as_tensor(bundle.preprocess(pixels)).double()
    assert numbers.mean().item() == pytest.approx(0.0, abs=1e-5)
    assert numbers.std(correction=0).item() == pytest.approx(1.0, abs=1e-5)


def test_digits_measure_the_training_split_alone() -> None:
    one, other = sklearn_sets.digits(split_seed=1), sklearn_sets.digits(split_seed=2)
    assert one.preprocessing["mean"] != other.preprocessing["mean"]
    train = tensor_of(one.splits["train"].inputs).double() / 16
    assert one.preprocessing["mean"] == [pytest.approx(train.mean().item())]
    assert one.preprocessing["std"] == [pytest.approx(train.std(correction=0).item())]


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "diabetes"])
def test_tables_are_standard_on_the_training_split(name: str) -> None:
    bundle = source(name)()
    train = tensor_of(bundle.splits["train"].inputs).double()
    torch.testing.assert_close(train.mean(dim=0), torch.zeros(train.shape[1]).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(train.std(dim=0, correction=0), torch.ones(train.shape[1]).double(), atol=1e-4, rtol=0)
    assert abs(tensor_of(bundle.splits["test"].inputs).mean().item()) > 1e-4  # measured on train, so not exactly 0 here


def test_tables_can_stay_in_their_own_units() -> None:
    bundle = sklearn_sets.iris(standardize=False)
    row = int(bundle.splits["val"].indices[0])
    from sklearn.datasets import load_iris

    assert tensor_of(bundle.splits["val"].inputs)[0].tolist() == pytest.approx(load_iris().data[row].tolist())


def test_diabetes_keeps_its_units_and_tells_their_scale() -> None:
    bundle = sklearn_sets.diabetes()
    train = tensor_of(bundle.splits["train"].targets).double()
    every = torch.cat([tensor_of(split.targets) for split in bundle.splits.values()])
    assert (every.min().item(), every.max().item()) == (25.0, 346.0)
    assert list(values_of(bundle.spec).mean) == pytest.approx([train.mean().item()])
    assert list(values_of(bundle.spec).std) == pytest.approx([train.std(correction=0).item()])


def test_augmentation_is_handed_on() -> None:
    bundle = sklearn_sets.digits(augment="crop", pad=2)
    assert (bundle.augment, bundle.pad) == ("crop", 2)


def test_some_classes_are_numbered_anew_and_keep_their_rows() -> None:
    whole, part = sklearn_sets.digits(), sklearn_sets.digits(classes=[9, 5, 7])
    assert part.spec.output_names == ("9", "5", "7")
    assert part.spec.num_outputs == 3
    labels = torch.tensor(load_digits().target)
    seen = torch.cat([split.indices for split in part.splits.values()])
    assert len(seen) == len(seen.unique()) == int(sum((labels == number).sum() for number in (9, 5, 7)))
    for split in part.splits.values():
        assert torch.equal(torch.tensor([9, 5, 7])[tensor_of(split.targets)], labels[split.indices])
        assert torch.equal(
            tensor_of(split.inputs)[:, 0], torch.tensor(load_digits().images, dtype=torch.uint8)[split.indices]
        )
    assert part.fingerprint != whole.fingerprint


@pytest.mark.parametrize("classes", [[3], [], [1, 1], [0, 10]])
def test_classes_that_are_not_there_are_refused(classes: list[int]) -> None:
    with pytest.raises(DataError) as caught:
        sklearn_sets.digits(classes=classes)
    refused(caught.value, "invalid-value", "data.classes", "data.classes=")


def test_so_many_training_samples_of_each_class_and_the_same_others() -> None:
    whole, few = sklearn_sets.digits(split_seed=3), sklearn_sets.digits(split_seed=3, train_per_class=10)
    assert torch.equal(tensor_of(few.splits["train"].targets).bincount(), torch.full((10,), 10))
    assert set(few.splits["train"].indices.tolist()) <= set(whole.splits["train"].indices.tolist())
    for name in ("val", "test"):
        assert torch.equal(few.splits[name].indices, whole.splits[name].indices)
    assert not torch.equal(few.splits["train"].indices, sklearn_sets.digits(train_per_class=10).splits["train"].indices)
    with pytest.raises(DataError, match=r"Set data.train_per_class=1\d\d$"):
        sklearn_sets.digits(train_per_class=1000)


def test_digits_of_another_domain_are_the_same_digits_seen_otherwise() -> None:
    clean = sklearn_sets.digits()
    white, images = 16, tensor_of(clean.splits["test"].inputs).double()
    found = {name: sklearn_sets.digits(domain=name) for name in DOMAINS}
    assert found["clean"].fingerprint == clean.fingerprint
    assert len({bundle.fingerprint for bundle in found.values()}) == len(DOMAINS) == 5
    assert all(torch.equal(b.splits["test"].indices, clean.splits["test"].indices) for b in found.values())
    seen = {name: tensor_of(bundle.splits["test"].inputs) for name, bundle in found.items()}
    assert torch.equal(seen["inverted"].double(), white - images)
    mean = torch.nn.functional.avg_pool2d(images, 3, 1, 1)
    assert (seen["blurred"] - mean).abs().max() <= 0.5 + 1e-9
    brightest = torch.nn.functional.max_pool2d(images, 3, 1, 1)
    assert (seen["thick"] - (images + 0.7 * (brightest - images))).abs().max() <= 0.5 + 1e-9
    middle = (images > 4) & (images < 12)  # a noise of 3.5 gray levels is cut off at neither end
    share = ((seen["noisy"] - images)[middle].abs() < 3.5).double().mean().item()
    assert share == pytest.approx(erf(3.5 / (0.3 * white) / sqrt(2)), abs=0.02)
    assert sklearn_sets.digits(domain="noisy").fingerprint == found["noisy"].fingerprint
    with pytest.raises(ValueError, match=r"foggy.*clean, noisy"):
        sklearn_sets.digits(domain="foggy")
