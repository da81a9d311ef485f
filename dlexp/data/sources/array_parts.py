"""Matching of arrays to splits by name, and conversion of one-hot targets to class numbers.

Symbols: N samples, O columns of the targets.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import SPLITS
from dlexp.data.split_names import parts_of, standard_split
from dlexp.errors import DataError
from dlexp.text.quoting import setting

Parts = dict[str, NDArray[Any]]  # train, val or test, or "" for all samples -> (N, ...)
Names = dict[str, tuple[str, str]]  # the same keys -> names of the inputs and of the targets


def names_of_parts(file: Path, found: Collection[str], inputs: str, target: str) -> Names:
    """The names of the arrays of each part: x_train, x_valid, x_Test or train_x if `inputs` is x; or just `inputs`.

    Raises DataError for two arrays of one split, and for both divided and undivided arrays with targets.
    """
    xs, ys = (_divided(file, found, name) for name in (inputs, target))
    if inputs in found or "train" not in xs:
        labeled = [xs[split] for split in xs if split in ys]
        if inputs in found and target in found and labeled:
            rule = f"has both {inputs!r} and {', '.join(map(repr, labeled))}"
            remedy = f"Save {inputs!r} as '{inputs}_train' and {target!r} as '{target}_train', or save only these two."
            raise DataError(rule, file=file, remedy=remedy)
        return {"": (inputs, target)}
    return {split: (name, ys.get(split) or _like(name, inputs, target)) for split, name in _in_order(xs).items()}


def values_of_parts(
    file: Path, found: Mapping[str, Callable[[], NDArray[Any]]], name: str, key: str, sizes: Mapping[str, int]
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """((N,) the values of `name`, or of NAME_train and the like, one part after the other; the names of the arrays).

    Args:
        file: The file, for error messages.
        found: Its arrays.
        name: The array or prefix.
        key: The key that names it.
        sizes: Samples of each part.

    Raises DataError for an array that is not there, and for another number of samples than the inputs have.
    """
    names = {"": name} if "" in sizes else _divided(file, found, name)
    values = []
    for part, size in sizes.items():
        array = names.get(part, f"{name}_{part}" if part else name)
        if array not in found:
            near = nearest_array(name, found)
            remedy = f"Did you mean {setting(key, near)}?" if near else f"Available: {', '.join(found) or 'none'}"
            raise DataError(f"array {array!r} ({key}) not found", file=file, remedy=remedy, code="not-found")
        values.append(np.asarray(found[array]()))
        if not values[-1].ndim or len(values[-1]) != size:
            rule = f"array {array!r} ({key}) must have {size:,} samples, as the inputs, got shape {values[-1].shape}"
            raise DataError(rule, file=file)
    return np.concatenate(values), tuple(names[part] for part in sizes)


def nearest_array(name: str, found: Collection[str]) -> str:
    """The array or prefix in the file most similar to `name`, "" for none."""
    bases = {base for array in found if (base := _base(array))}
    same = [other for other in (*found, *sorted(bases)) if other.casefold() == name.casefold()]
    similar = get_close_matches(name, [*found, *sorted(bases)], n=1, cutoff=0.5)
    return (same or similar or [""])[0]


def as_class_numbers(file: Path, goals: Parts, name: str, kind: str) -> Parts:
    """`goals` with one-hot rows (N, O) as class numbers (N,), unless `kind` (data.target_kind) is value.

    Raises DataError for rows of zeros and ones with none or several ones, and for parts of different shapes.
    """
    if kind != "value":
        goals = {part: _from_one_hot(file, values, name) for part, values in goals.items()}
    widths = {values.shape[1:] if values.shape[1:] != (1,) else () for values in goals.values()}
    if len(widths) > 1:
        shapes = ", ".join(f"{part} {values.shape}" for part, values in goals.items())
        raise DataError(f"the parts of {name!r} have different shapes: {shapes}", file=file)
    return goals


def _from_one_hot(file: Path, values: NDArray[Any], name: str) -> NDArray[Any]:
    if values.ndim != 2 or values.shape[1] < 2 or values.dtype.kind not in "biuf":
        return values
    whole = np.asarray(values)
    if not ((whole == 0) | (whole == 1)).all():
        return values
    ones = np.count_nonzero(whole, axis=1)
    wrong = np.flatnonzero(ones != 1)
    if len(wrong):
        rule = f"{name!r} of shape {whole.shape} is not one-hot: sample {wrong[0]} has {ones[wrong[0]]} ones"
        remedy = "Save one class per sample, or set data.target_kind=value to learn the columns as numbers."
        raise DataError(rule, file=file, remedy=remedy)
    numbers: NDArray[np.int64] = whole.argmax(axis=1).astype(np.int64)
    return numbers


def _divided(file: Path, found: Collection[str], name: str) -> dict[str, str]:
    """Split -> its array named after `name`."""
    rests = {}
    for array in found:
        if array.startswith(f"{name}_"):
            rests[array.removeprefix(f"{name}_")] = array
        elif array.endswith(f"_{name}"):
            rests[array.removesuffix(f"_{name}")] = array
    return {split: rests[rest] for split, rest in parts_of(rests, f"{file} ({name})").items()}


def _like(array: str, inputs: str, target: str) -> str:
    """The expected name of the targets for the inputs `array`."""
    return f"{target}{array[len(inputs) :]}" if array.startswith(f"{inputs}_") else f"{array[: -len(inputs)]}{target}"


def _base(array: str) -> str:
    """`X` for X_train and train_X, "" for an array that names no split."""
    before, _, last = array.rpartition("_")
    first, _, behind = array.partition("_")
    return before if standard_split(last) else behind if standard_split(first) else ""


def _in_order(parts: Mapping[str, str]) -> dict[str, str]:
    return {split: parts[split] for split in SPLITS if split in parts}
