"""Train, validation and test rows: disjoint, complete, the same for the same seed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.errors import DataError
from dlexp.findings import counted

Rows = NDArray[np.int64]
_PARTS = ("train", "val", "test")
_NAMED = 10  # classes listed in an error
Shares = tuple[float, float, int]  # of validation and of test samples, and the seed of the draw


def split_rows(
    count: int,
    how: Shares,
    labels: NDArray[Any] | None = None,
    classes: Sequence[str] = (),
    exempt: Collection[int] = (),
) -> tuple[Rows, Rows, Rows]:
    """Row numbers (train, val, test) of `count` samples.

    Args:
        how: Share of validation and of test samples, and the seed of the draw.
        labels: (N,) class numbers, of which each class is divided in the same shares (stratified); ignored without
            `classes`.
        classes: Name of each class; () for samples without classes.
        exempt: Numbers of classes that may be too rare for every split; what there is of them is in test first.

    Raises DataError when a split, or another class in a split, would be empty.
    """
    val_fraction, test_fraction, seed = how
    rng = np.random.default_rng(seed)
    if labels is None or not classes:
        parts = _divide(np.arange(count), val_fraction, test_fraction, rng)
        if min(len(part) for part in parts) == 0:
            rule = f"{counted(count, 'row')} cannot be split into train, val and test: each needs one row"
            raise DataError(rule, remedy="Add rows, at least 3.", code="too-few-samples")
    else:
        by_class = [np.flatnonzero(labels == number) for number in range(len(classes))]
        needed = {name: len(by_class[n]) for n, name in enumerate(classes) if n not in exempt}
        _refuse_few(needed, count, _PARTS)
        groups = [_divide(rows, val_fraction, test_fraction, rng) for rows in by_class]
        parts = tuple(np.concatenate(part) for part in zip(*groups, strict=True))
    train, val, test = (np.sort(part).astype(np.int64) for part in parts)
    return train, val, test


def held_out(
    rows: Rows,
    labels: NDArray[Any] | None,
    classes: Sequence[str],
    fraction: float,
    seed: int,
    exempt: Collection[int] = (),
) -> tuple[Rows, Rows]:
    """(the others, those held out) of `rows`: a share of each class, or of all rows; one row at least.

    Args:
        labels: (N,) class numbers of all samples; ignored without `classes`.
        classes: Name of each class; () for samples without classes.
        exempt: Numbers of classes that may have fewer.

    Raises DataError when another class, or all, has fewer than two rows.
    """
    rng = np.random.default_rng(seed)
    kept, held = [], []
    groups = {"": rows}
    if labels is not None and classes:
        groups = {name: rows[labels[rows] == number] for number, name in enumerate(classes)}
    if labels is None or not classes:
        if len(rows) < 2:
            rule = f"{counted(len(rows), 'training row')} cannot be split: one is held out and one must remain"
            raise DataError(rule, remedy="Add rows.", code="too-few-samples")
    else:
        needed = {name: len(groups[name]) for n, name in enumerate(classes) if n not in exempt}
        _refuse_few(needed, len(rows), ("train", "the part held out of it"))
    for some in groups.values():
        group = rng.permutation(some)
        count = max(1, min(round(len(group) * fraction), len(group) - 1))
        kept.append(group[count:])
        held.append(group[:count])
    return np.sort(np.concatenate(kept)).astype(np.int64), np.sort(np.concatenate(held)).astype(np.int64)


def rows_of_parts(
    sizes: Mapping[str, int],
    how: Shares,
    labels: NDArray[Any] | None = None,
    classes: Sequence[str] = (),
    exempt: Collection[int] = (),
) -> tuple[Rows, Rows, Rows]:
    """Rows (train, val, test) of samples that come part after part.

    Args:
        sizes: Samples of train, val and test, as far as they are there, or of "" for samples that come undivided.
        how: Share of validation and of test samples where they are drawn here, and the seed of that.
        labels: (N,) class numbers of all samples, and `classes` and `exempt` as in `split_rows`.

    Raises DataError for a class that train has not, and for what `split_rows` and `held_out` refuse.
    """
    if "train" not in sizes:
        return split_rows(sum(sizes.values()), how, labels, classes, exempt)
    rows, start = dict[str, Rows](), 0
    for part, size in sizes.items():
        rows[part] = np.arange(start, start + size, dtype=np.int64)
        start += size
    for number, name in enumerate(classes):
        if labels is not None and number not in exempt and number not in labels[rows["train"]]:
            rule = f"class {name!r} has no training samples"
            remedy = "Add samples of this class to train, or remove it from the other parts."
            raise DataError(rule, remedy=remedy, code="too-few-samples")
    for part, share in (("val", how[0]), ("test", how[1])):
        if not len(rows.get(part, ())):
            rows["train"], rows[part] = held_out(rows["train"], labels, classes, share, how[2], exempt)
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
            fewest = min(np.count_nonzero(labels[rows] == other) for other in range(len(classes)))
            rule = f"class {name!r} has {counted(len(group), 'training row')}, fewer than data.train_per_class={count}"
            remedy = f"Set data.train_per_class={fewest}" if fewest else "Add rows of this class."
            raise DataError(rule, remedy=remedy, code="too-few-samples")
        kept.append(group[:count])
    return np.sort(np.concatenate(kept)).astype(np.int64)


def _refuse_few(counts: Mapping[str, int], total: int, parts: Sequence[str]) -> None:
    """Raise DataError for classes with fewer rows than `parts`, each of which needs one; names the smallest first."""
    few = sorted((number, name) for name, number in counts.items() if number < len(parts))
    if not few:
        return
    named = ", ".join(f"{name!r} has {counted(number, 'row')}" for number, name in few[:_NAMED])
    more = f", and {counted(len(few) - _NAMED, 'more class', 'more classes')}" if len(few) > _NAMED else ""
    rule = f"class {named}{more}, of {total:,} in all; each class needs {len(parts)}, one for each of "
    remedy = "Add rows of these classes, or delete their rows from the data."
    if len(few) == 1:
        remedy = f"Add {counted(len(parts) - few[0][0], 'row')} of this class, or delete its rows from the data."
    raise DataError(f"{rule}{', '.join(parts[:-1])} and {parts[-1]}", remedy=remedy, code="too-few-samples")


def _divide(rows: Rows, val_fraction: float, test_fraction: float, rng: np.random.Generator) -> tuple[Rows, ...]:
    """Shuffle and cut; where there are three rows, each part gets one, whatever its share."""
    shuffled = rng.permutation(rows)
    num_test = max(1, min(round(len(rows) * test_fraction), len(rows) - 2))
    num_val = max(1, min(round(len(rows) * val_fraction), len(rows) - num_test - 1))
    return shuffled[num_test + num_val :], shuffled[num_test : num_test + num_val], shuffled[:num_test]
