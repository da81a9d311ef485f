"""Arrays of the user's own in one file: images or a table, and their targets.

Symbols: N samples, F features, O target values, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle
from dlexp.data.images.array_reader import ArrayImages, as_images
from dlexp.data.images.image_set import ImageSet
from dlexp.data.images.placement import Placing
from dlexp.data.sources.array_files import Arrays, digest, open_arrays
from dlexp.data.sources.array_parts import Parts, as_class_numbers, names_of_parts, near_name
from dlexp.data.splitting import rows_of_parts
from dlexp.data.tables.encoding import build_table
from dlexp.data.targets import constant_reason, whole_number_reason
from dlexp.errors import DataError
from dlexp.runtime.rounding import LARGEST
from dlexp.text.quoting import setting

__all__ = ["arrays", "target_kind"]

_SHAPES = "classes have the shape (N,), values (N,) or (N, O); of scores for each class take argmax(axis=1)"


def arrays(
    *,
    path: str,
    inputs: str = "x",
    target: str = "y",
    target_kind: str = "auto",
    layout: str = "auto",
    in_memory: bool | str = "auto",
    workers: int | str = "auto",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    standardize: bool = True,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[Any] = "none",
    pad: int = 4,
) -> DataBundle:
    """The arrays `inputs` and `target` of a .npz or .pt file, or INPUTS_train, INPUTS_val and INPUTS_test of it.

    inputs  images (N, H, W), (N, C, H, W) or (N, H, W, C), as `layout` says or auto sees it: of uint8 they are
            pixels, of other types float32 numbers as they are; or a table (N, F) of numbers, NaN where one is missing
    target  class numbers or names (N,), or one-hot rows (N, O) of zeros and ones; or values (N,) or (N, O).
            target_kind=auto takes floats for values, unless they are one-hot
    Parts may be called train, training, val, valid, validation, dev, test or testing in any letter case.
    Raises DataError for what cannot be trained on, ValueError for settings of images where there is a table.
    """
    file = Path(path)
    found = open_arrays(file)
    given, goals, omitted = _parts(file, found, inputs, target)
    goals = as_class_numbers(file, goals, target, target_kind)
    targets, names = _targets(file, goals, target, target_kind)
    labels = names if targets.ndim == 1 else ()
    how = (val_fraction, test_fraction, split_seed)
    try:
        rows = rows_of_parts({part: len(values) for part, values in given.items()}, how, targets, labels)
    except DataError as error:
        raise DataError(str(error), file=file, code=error.code) from error
    if next(iter(given.values())).ndim == 2:
        _refuse_on_a_table(augment, mean, std)
        table = _table(file, given, inputs)
        made = build_table(table, targets, labels, names if targets.ndim == 2 else (), rows, standardize)
        return replace(made, target=target, omitted=omitted)
    reader = ArrayImages(tuple(as_images(file, part, layout) for part in given.values()), file).narrowed(rows[0])
    narrowing, moments = reader.narrowing, (mean, std)
    if narrowing is not None and mean is not None and std is not None and len(mean) == len(std) == reader.shape[0]:
        moments = narrowing.own(mean, is_mean=True), narrowing.own(std, is_mean=False)
    facts = narrowing.plain() if narrowing is not None else {}
    images = ImageSet(reader, targets, names, rows, digest([*given.values(), targets]), facts)
    bundle = images.bundle(Placing(in_memory, workers), moments, (augment, pad))
    return replace(bundle, target=target, omitted=omitted)


def target_kind(arguments: Mapping[str, Any]) -> str:
    """`class` or `value`, as told by data.target_kind or by the type of the array that data.target names."""
    if arguments["target_kind"] != "auto":
        return str(arguments["target_kind"])
    file = Path(arguments["path"])
    _, goals, _ = _parts(file, open_arrays(file), arguments["inputs"], arguments["target"])
    return _kind_of(as_class_numbers(file, goals, arguments["target"], "auto"))


def _kind_of(goals: Parts) -> str:
    first = next(iter(goals.values()))
    return "value" if first.dtype.kind == "f" or (first.ndim == 2 and first.shape[1] > 1) else "class"


def _parts(file: Path, found: Arrays, inputs: str, target: str) -> tuple[Parts, Parts, dict[str, str]]:
    """Inputs and targets of each part, as many of the one as of the other, and arrays that are not read."""
    names = names_of_parts(file, found, inputs, target)
    given, goals = Parts(), Parts()
    for part, pair in names.items():
        for into, name, key in ((given, pair[0], "data.inputs"), (goals, pair[1], "data.target")):
            if name not in found:
                near = near_name(name, found)
                has = f"it has {', '.join(found) or 'none'}"
                remedy = f"did you mean {setting(key, near)}?" if near else f"{has}; set {key}"
                raise DataError(f"has no array {name!r} ({key})", file=file, remedy=remedy, code="not-found")
            into[part] = found[name]()
            if not into[part].ndim:
                raise DataError(f"array {name!r} is a single number", file=file)
        if len(given[part]) != len(goals[part]):
            rule = f"{pair[0]!r} has {len(given[part]):,} samples and {pair[1]!r} {len(goals[part]):,}"
            raise DataError(rule, file=file)
    kinds = {f"{part.shape[1:]} {part.dtype}" for part in given.values()}
    if len(kinds) > 1:
        rule = f"the parts hold samples of different shapes or types: {', '.join(sorted(kinds))}"
        raise DataError(rule, file=file)
    if next(iter(given.values())).ndim not in (2, 3, 4):
        shape = next(iter(given.values())).shape
        rule = f"{inputs!r} of shape {shape} holds neither images (N, H, W) or with channels, nor a table (N, F)"
        raise DataError(rule, file=file)
    read = {name for pair in names.values() for name in pair}
    return given, goals, {name: "is an array that no setting names" for name in found if name not in read}


def _targets(file: Path, goals: Parts, name: str, kind: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """((N,) class numbers, class names) or ((N, O) float64 values, their names). Raises DataError."""
    kind = _kind_of(goals) if kind == "auto" else kind
    whole = np.concatenate([np.asarray(part) for part in goals.values()])
    if whole.ndim == 2 and whole.shape[1] == 1:
        whole = whole[:, 0]
    if whole.dtype.kind not in "biufU" or whole.ndim > 2 or (kind == "class" and whole.ndim > 1):
        rule = f"{name!r} of type {whole.dtype} and shape {whole.shape} is no {kind} for each sample"
        raise DataError(rule, file=file, remedy=_SHAPES, code="invalid-type")
    if whole.dtype.kind == "f" or kind == "value":
        if whole.dtype.kind == "U":
            rule = f"{name!r} holds texts, and data.target_kind=value wants numbers"
            raise DataError(rule, file=file, code="invalid-type")
        small = np.abs(whole.reshape(len(whole), -1).astype(np.float64)) <= LARGEST  # NaN is not
        bad = np.flatnonzero(~small.all(axis=1))
        if len(bad):
            rule = f"{name!r} holds {whole[bad[0]]} for sample {bad[0]}, no finite number of at most {LARGEST:g}"
            raise DataError(rule, file=file)
    if kind == "value":
        values = whole.astype(np.float64).reshape(len(whole), -1)
        _refuse_rounding(file, name, whole)
        if reason := constant_reason(values, f"every sample has the target {values[0].tolist()}"):
            raise DataError(reason, file=file)
        count = values.shape[1]
        return values, (name,) if count == 1 else tuple(f"{name}_{number}" for number in range(count))
    if whole.dtype.kind == "f" and (whole != np.round(whole)).any():
        raise DataError(f"{name!r} holds fractions, which are no classes", file=file, remedy="data.target_kind=value")
    classes, numbers = np.unique(whole, return_inverse=True)
    if len(classes) < 2 or len(classes) > len(whole) // 2:
        rule = f"{name!r} holds {len(classes)} classes in {len(whole)} samples"
        remedy = "name another data.target" + (", or set data.target_kind=value" if len(classes) > 1 else "")
        raise DataError(rule, file=file, remedy=remedy)
    texts = tuple(str(int(value)) if whole.dtype.kind in "iuf" else str(value) for value in classes)
    return numbers.astype(np.int64), texts


def _table(file: Path, given: Parts, name: str) -> dict[str, NDArray[Any]]:
    """The columns, (N,) float64 each. Raises DataError for what is no finite number and not missing either."""
    whole = np.concatenate([np.asarray(part) for part in given.values()])
    if whole.dtype.kind not in "biuf":
        raise DataError(f"{name!r} holds values of type {whole.dtype}, not numbers", file=file, code="invalid-type")
    _refuse_rounding(file, name, whole)
    numbers = whole.astype(np.float64)
    bad = np.argwhere(np.abs(numbers) > LARGEST)
    if len(bad):
        sample, feature = bad[0]
        rule = f"{name!r} holds {numbers[sample, feature]} in feature {feature} of sample {sample}"
        raise DataError(rule, file=file, remedy=f"correct it; at most {LARGEST:g}, or NaN where it is missing")
    return {f"{name}_{number}": numbers[:, number] for number in range(numbers.shape[1])}


def _refuse_rounding(file: Path, name: str, values: NDArray[Any]) -> None:
    """Raise DataError for whole numbers that float64 cannot tell apart."""
    if reason := whole_number_reason(values):
        raise DataError(f"{name!r} holds {reason}", file=file, remedy="subtract a constant from them")


def _refuse_on_a_table(augment: object, mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
    """Raise ValueError for settings that only images have."""
    for key, value, none in (("augment", augment, "none"), ("mean", mean, None), ("std", std, None)):
        if value != none:
            raise ValueError(f"{key}={value}: is for images, and the inputs are a table")
