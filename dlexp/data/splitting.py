"""Train, validation and test rows: disjoint, complete, the same for the same seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.errors import DataError

Rows = NDArray[np.int64]
Shares = tuple[float, float, int]  # of validation and of test samples, and the seed of the draw


def split_rows(
    count: int, how: Shares, labels: NDArray[Any] | None = None, classes: Sequence[str] = ()
) -> tuple[Rows, Rows, Rows]:
    """Row numbers (train, val, test) of `count` samples.

    Args:
        how: Share of validation and of test samples, and the seed of the draw.
        labels: (N,) class numbers, of which each class is divided in the same shares (stratified); ignored without
            `classes`.
        classes: Name of each class; () for samples without classes.

    Raises DataError when a split, or a class in a split, would be empty.
    """
    val_fraction, test_fraction, seed = how
    rng = np.random.default_rng(seed)
    if labels is None or not classes:
        parts = _divide(np.arange(count), val_fraction, test_fraction, rng)
        if min(len(part) for part in parts) == 0:
            raise DataError(f"{count} rows are too few to split into train, val and test")
    else:
        groups = []
        for number, name in enumerate(classes):
            rows = np.flatnonzero(labels == number)
            if len(rows) < 3:
                raise DataError(
                    f"class {name!r} has {len(rows)} of {count} rows, and train, val and test need one each",
                    remedy="add rows of this class or leave the class out",
                )
            groups.append(_divide(rows, val_fraction, test_fraction, rng))
        parts = tuple(np.concatenate(part) for part in zip(*groups, strict=True))
    train, val, test = (np.sort(part).astype(np.int64) for part in parts)
    return train, val, test


def held_out(
    rows: Rows, labels: NDArray[Any] | None, classes: Sequence[str], fraction: float, seed: int
) -> tuple[Rows, Rows]:
    """(the others, those held out) of `rows`: a share of each class, or of all rows; one row at least.

    Args:
        labels: (N,) class numbers of all samples; ignored without `classes`.
        classes: Name of each class; () for samples without classes.

    Raises DataError when a class, or all, has fewer than two rows.
    """
    rng = np.random.default_rng(seed)
    kept, held = [], []
    groups = {"there are": rows}
    if labels is not None and classes:
        groups = {f"class {name!r} has": rows[labels[rows] == number] for number, name in enumerate(classes)}
    for what, some in groups.items():
        group = rng.permutation(some)
        if len(group) < 2:
            raise DataError(f"{what} {len(group)} rows to train on, and one is to be held out")
        count = max(1, min(round(len(group) * fraction), len(group) - 1))
        kept.append(group[count:])
        held.append(group[:count])
    return np.sort(np.concatenate(kept)).astype(np.int64), np.sort(np.concatenate(held)).astype(np.int64)


def rows_of_parts(
    sizes: Mapping[str, int], how: Shares, labels: NDArray[Any] | None = None, classes: Sequence[str] = ()
) -> tuple[Rows, Rows, Rows]:
    """Rows (train, val, test) of samples that come part after part.

    Args:
        sizes: Samples of train, val and test, as far as they are there, or of "" for samples that come undivided.
        how: Share of validation and of test samples where they are drawn here, and the seed of that.
        labels: (N,) class numbers of all samples, and `classes` as in `split_rows`.

    Raises DataError for a class that train has not, and for what `split_rows` and `held_out` refuse.
    """
    if "train" not in sizes:
        return split_rows(sum(sizes.values()), how, labels, classes)
    rows, start = dict[str, Rows](), 0
    for part, size in sizes.items():
        rows[part] = np.arange(start, start + size, dtype=np.int64)
        start += size
    for number, name in enumerate(classes):
        if labels is not None and number not in labels[rows["train"]]:
            raise DataError(f"class {name!r} has no training samples")
    for part, share in (("val", how[0]), ("test", how[1])):
        if not len(rows.get(part, ())):
            rows["train"], rows[part] = held_out(rows["train"], labels, classes, share, how[2])
    return rows["train"], rows["val"], rows["test"]


def some_of_each(rows: Rows, labels: NDArray[Any], classes: Sequence[str], count: int, seed: int) -> Rows:
    """`count` rows of each class, drawn at random from `rows`, in their order.

    labels  (N,) class numbers of all samples
    Raises DataError when a class has fewer.
    """
    rng = np.random.default_rng(seed)
    kept = []
    for number, name in enumerate(classes):
        group = rng.permutation(rows[labels[rows] == number])
        if len(group) < count:
            rule = f"class {name!r} has {len(group)} training rows, and {count} of each class are asked for"
            raise DataError(rule, remedy=f"data.train_per_class={len(group)} or fewer")
        kept.append(group[:count])
    return np.sort(np.concatenate(kept)).astype(np.int64)


def _divide(rows: Rows, val_fraction: float, test_fraction: float, rng: np.random.Generator) -> tuple[Rows, ...]:
    """Shuffle and cut; where there are three rows, each part gets one, whatever its share."""
    shuffled = rng.permutation(rows)
    num_test = max(1, min(round(len(rows) * test_fraction), len(rows) - 2))
    num_val = max(1, min(round(len(rows) * val_fraction), len(rows) - num_test - 1))
    return shuffled[num_test + num_val :], shuffled[num_test : num_test + num_val], shuffled[:num_test]
