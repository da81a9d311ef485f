"""Data sets included in scikit-learn, without download.

Every function takes the fractions of validation and test samples and the seed of the split, and returns a DataBundle.
Source of all five: scikit-learn's `sklearn.datasets`, "Toy datasets".
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle, Split, fingerprint_of
from dlexp.data.images.domain_shift import in_domain
from dlexp.data.preprocess import Affine
from dlexp.data.splits.anomalies import anomaly_numbers, normal_rows
from dlexp.data.splitting import Shares, some_of_each, split_rows
from dlexp.data.tables.encoding import build_table
from dlexp.errors import DataError
from dlexp.specs import ClassSpec, DataSpec, ImageSpec

__all__ = ["breast_cancer", "diabetes", "digits", "iris", "wine"]

_DIGITS_WHITE = 16  # pixel values run from 0 to 16


def digits(
    *,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[str | Mapping[str, Any]] = "none",
    pad: int = 1,
    classes: Sequence[int] | None = None,
    train_per_class: int | None = None,
    domain: str = "clean",
) -> DataBundle:
    """1,797 handwritten digits: inputs (1, 8, 8) uint8 in 0..16, ten classes.

    augment          augmentation of training images, see `recipes`; no preset but mirror itself mirrors digits, since a
                     mirrored digit is not valid
    classes          the digits to keep, numbered in this order; None for all ten
    train_per_class  number of training samples of each class, drawn by `split_seed`; None for all. Validation and test
                     samples do not change.
    domain           clean, noisy, blurred, thick or inverted: see `in_domain`
    Raises DataError for unknown classes, or fewer than two.
    """
    images, labels = _read_digits()
    images = in_domain(images, domain, _DIGITS_WHITE)
    names = tuple("0123456789")
    if classes is not None:
        labels, names = _only(labels, names, classes)
    rows = split_rows(len(labels), (val_fraction, test_fraction, split_seed), labels, names)
    if train_per_class is not None:
        rows = (some_of_each(rows[0], labels, names, train_per_class, split_seed), *rows[1:])
    train_pixels = images[rows[0]] / _DIGITS_WHITE
    mean, std = float(train_pixels.mean()), float(train_pixels.std())
    return DataBundle(
        spec=DataSpec(ImageSpec(1, 8, 8), ClassSpec(names)),
        splits={
            name: Split.in_memory(
                torch.from_numpy(images[part]), torch.from_numpy(labels[part]), torch.from_numpy(part)
            )
            for name, part in zip(("train", "val", "test"), rows, strict=True)
        },
        preprocess=Affine(torch.tensor(1 / (_DIGITS_WHITE * std)), torch.tensor(-mean / std)),
        fingerprint=fingerprint_of(images, labels),
        preprocessing={"kind": "image", "white": _DIGITS_WHITE, "mean": [mean], "std": [std]},
        augment=augment,
        pad=pad,
        mirrors=False,
    )


def iris(
    *,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    standardize: bool = True,
    anomalies: Sequence[str] = (),
) -> DataBundle:
    """150 iris flowers: inputs (4,) lengths and widths in cm, three classes (Fisher 1936)."""
    from sklearn.datasets import load_iris

    return _table(load_iris(), True, (val_fraction, test_fraction, split_seed), standardize, anomalies)


def wine(
    *,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    standardize: bool = True,
    anomalies: Sequence[str] = (),
) -> DataBundle:
    """178 Italian wines: inputs (13,) chemical measurements, three classes."""
    from sklearn.datasets import load_wine

    return _table(load_wine(), True, (val_fraction, test_fraction, split_seed), standardize, anomalies)


def breast_cancer(
    *,
    val_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    standardize: bool = True,
    anomalies: Sequence[str] = (),
) -> DataBundle:
    """569 breast tumors: inputs (30,) measurements of cell nuclei, classes malignant and benign."""
    from sklearn.datasets import load_breast_cancer

    return _table(load_breast_cancer(), True, (val_fraction, test_fraction, split_seed), standardize, anomalies)


def diabetes(
    *, val_fraction: float = 0.2, test_fraction: float = 0.2, split_seed: int = 0, standardize: bool = True
) -> DataBundle:
    """442 diabetes patients: inputs (10,) measurements, target (1,) disease progression after a year, 25 to 346."""
    from sklearn.datasets import load_diabetes

    return _table(load_diabetes(scaled=False), False, (val_fraction, test_fraction, split_seed), standardize)


def _read_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (1797, 1, 8, 8) and labels (1797,).

    Reads scikit-learn's file directly: importing its loader takes as long as importing torch.
    """
    package = find_spec("sklearn")
    places = package.submodule_search_locations if package and package.submodule_search_locations else []
    for path in (Path(place, "datasets", "data", "digits.csv.gz") for place in places):
        if path.is_file():
            with gzip.open(path, "rt") as file:
                table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
            return table[:, :-1].reshape(-1, 1, 8, 8), table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits  # a version with the file elsewhere

    found = load_digits()
    return found.images.astype(np.uint8)[:, None], found.target.astype(np.int64)


def _only(
    labels: NDArray[np.int64], names: tuple[str, ...], classes: Sequence[int]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels and names of `classes` only, renumbered in their order; other labels are -1. Raises DataError."""
    known = len(set(classes)) == len(classes) and all(0 <= number < len(names) for number in classes)
    if len(classes) < 2 or not known:
        rule = f"data.classes={list(classes)} must be two or more different numbers of 0 to {len(names) - 1}"
        raise DataError(rule, remedy="Set data.classes=[0,1,2,3,4]", code="invalid-value")
    number_of = np.full(len(names), -1, dtype=np.int64)
    number_of[list(classes)] = np.arange(len(classes))
    return number_of[labels], tuple(names[number] for number in classes)


def _table(found: Any, is_classes: bool, how: Shares, standardize: bool, anomalies: Sequence[str] = ()) -> DataBundle:
    names = tuple(str(name) for name in found.target_names) if is_classes else ()
    targets = found.target.astype(np.int64) if is_classes else found.target.astype(np.float64)[:, None]
    exempt = anomaly_numbers(anomalies, names) if names else ()
    rows = normal_rows(split_rows(len(targets), how, targets, names, exempt), targets, names, anomalies)
    columns = {str(name): found.data[:, number] for number, name in enumerate(found.feature_names)}
    return build_table(columns, targets, names, ("target",), rows, standardize)
