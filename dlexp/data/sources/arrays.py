"""The data source `arrays`: images or a table, and their targets, in one file of arrays.

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
from dlexp.data.images.placement import Placement
from dlexp.data.sources.array_files import Arrays, digest, open_arrays
from dlexp.data.sources.array_parts import Parts, as_class_numbers, names_of_parts, nearest_array, values_of_parts
from dlexp.data.splits.anomalies import anomaly_numbers, normal_rows
from dlexp.data.splits.division import Division, SplitBy, divide
from dlexp.data.splits.sample_keys import keys_of_samples
from dlexp.data.splitting import Shares, rows_of_parts
from dlexp.data.tables.encoding import build_table
from dlexp.data.targets import constant_reason, whole_number_reason
from dlexp.errors import DataError
from dlexp.runtime.rounding import LARGEST
from dlexp.text.quoting import setting

_FEW = 20  # whole numbers that may be classes

__all__ = ["arrays", "target_kind"]

_SHAPES = "Save classes of shape (N,) or values of shape (N,) or (N, O); for scores per class, save argmax(axis=1)."


def arrays(
    *,
    path: str,
    inputs: str = "x",
    target: str | list[str] = "y",
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
    group: str | None = None,
    time: str | None = None,
    split_column: str | None = None,
    anomalies: Sequence[str] = (),
) -> DataBundle:
    """Load the arrays `inputs` and `target` of a .npz or .pt file, or INPUTS_train, INPUTS_val and INPUTS_test.

    inputs  images (N, H, W), (N, C, H, W) or (N, H, W, C), see `layout`: uint8 arrays are pixels, other types are
            used as float32 numbers; or a table (N, F) of numbers, NaN for a missing one
    target  class numbers or names (N,), or one-hot rows (N, O); or values (N,) or (N, O).
            target_kind=auto treats floats as values, unless they are one-hot
    group   one group per sample, time: a number or date, split_column: a split name; each as one array, or in parts
    Parts may be named train, training, val, valid, validation, dev, test or testing, in any case.
    Raises DataError for invalid data, ValueError for settings of images with a table.
    """
    return bundle_of_arrays(
        Path(path),
        open_arrays(Path(path)),
        inputs=inputs,
        target=one_target(target, Path(path)),
        target_kind=target_kind,
        layout=layout,
        in_memory=in_memory,
        workers=workers,
        moments=(mean, std),
        standardize=standardize,
        how=(val_fraction, test_fraction, split_seed),
        augmentation=(augment, pad),
        by=SplitBy(group, time, split_column),
        anomalies=anomalies,
    )


def bundle_of_arrays(
    file: Path,
    found: Arrays,
    *,
    inputs: str,
    target: str,
    target_kind: str,
    layout: str,
    in_memory: bool | str,
    workers: int | str,
    moments: tuple[Sequence[float] | None, Sequence[float] | None],
    standardize: bool,
    how: tuple[float, float, int],
    augmentation: tuple[str | Sequence[Any], int],
    by: SplitBy,
    anomalies: Sequence[str] = (),
) -> DataBundle:
    """The bundle of the arrays `found`, which messages say are in `file`; see `arrays` for the others.

    moments       (mean, std) of the channels, None to measure them
    how           (val_fraction, test_fraction, split_seed)
    augmentation  (augment, pad)
    by            the arrays that divide the samples
    anomalies     classes that no training or validation sample has
    """
    (mean, std), (augment, pad) = moments, augmentation
    given, goals, omitted = _parts(file, found, inputs, target)
    goals = as_class_numbers(file, goals, target, target_kind)
    targets, names = _targets(file, goals, target, target_kind)
    labels = names if targets.ndim == 1 else ()
    sizes = {part: len(values) for part, values in given.items()}
    exempt = anomaly_numbers(anomalies, labels) if labels else ()
    division, divides = _division(file, found, by, sizes, (how, targets, labels, exempt))
    rows, notes = (
        normal_rows(division.rows, targets, labels, anomalies),
        (*division.notes, *_few_values(targets, target, target_kind)),
    )
    omitted = {name: by.reason(divides[name]) if name in divides else why for name, why in omitted.items()}
    if next(iter(given.values())).ndim == 2:
        _refuse_on_a_table(augment, mean, std)
        table = _table(file, given, inputs)
        made = build_table(table, targets, labels, names if targets.ndim == 2 else (), rows, standardize)
        return replace(made, target=target, omitted=omitted, notes=(*made.notes, *notes), groups=division.groups)
    reader = ArrayImages(tuple(as_images(file, part, layout) for part in given.values()), file).with_narrowing(rows[0])
    narrowing = reader.narrowing
    if narrowing is not None and mean is not None and std is not None and len(mean) == len(std) == reader.shape[0]:
        moments = narrowing.convert_moments(mean, is_mean=True), narrowing.convert_moments(std, is_mean=False)
    facts = narrowing.plain() if narrowing is not None else {}
    images = ImageSet(reader, targets, names, rows, digest([*given.values(), targets]), facts)
    bundle = images.bundle(Placement(in_memory, workers), moments, (augment, pad))
    return replace(bundle, target=target, omitted=omitted, notes=(*bundle.notes, *notes), groups=division.groups)


def _few_values(targets: NDArray[Any], name: str, kind: str) -> list[str]:
    """A message about floats that may be classes: at most twenty whole numbers, which are classes in a CSV file."""
    if kind != "auto" or targets.dtype.kind != "f" or targets[0].size != 1:
        return []
    distinct = np.unique(targets)
    if len(distinct) > _FEW or (distinct != np.round(distinct)).any():
        return []
    what = f"{len(distinct)} whole numbers" if len(distinct) > 1 else "one whole number"
    return [f"the floats of {name!r} are values, though only {what}. For classes, set data.target_kind=class"]


def _division(
    file: Path,
    found: Arrays,
    by: SplitBy,
    sizes: Mapping[str, int],
    what: tuple[Shares, NDArray[Any], tuple[str, ...], tuple[int, ...]],
) -> tuple[Division, dict[str, str]]:
    """The division of the samples, and the arrays that divide them with their keys.

    what  shares and seed, targets, names of the classes, and numbers of those that no split needs
    """
    how, targets, labels, exempt = what
    divides: dict[str, str] = {}
    try:
        if not by.keys:
            return Division(rows_of_parts(sizes, how, targets, labels, exempt)), divides
        values = {}
        for key, name in by.keys.items():
            values[key], names = values_of_parts(file, found, name, f"data.{key}", sizes)
            divides |= dict.fromkeys(names, key)
        parts = np.repeat(list(sizes), list(sizes.values())) if "train" in sizes else None
        keys = keys_of_samples(by, values, parts)
        return divide(sum(sizes.values()), how, targets, labels, keys, exempt), divides
    except DataError as error:
        raise DataError(error.rule, file=file, column=error.column, remedy=error.remedy, code=error.code) from error


def target_kind(arguments: Mapping[str, Any]) -> str:
    """`class` or `value`: data.target_kind, or derived from the array that data.target names."""
    if arguments["target_kind"] != "auto":
        return str(arguments["target_kind"])
    file = Path(arguments["path"])
    target = one_target(arguments["target"], file)
    return kind_of_target(file, open_arrays(file), arguments["inputs"], target)


def kind_of_target(file: Path, found: Arrays, inputs: str, target: str) -> str:
    """`class` or `value`, derived from the array `target` among those `found` in `file`."""
    _, goals, _ = _parts(file, found, inputs, target)
    return _kind_of(as_class_numbers(file, goals, target, "auto"))


def one_target(target: str | list[str], file: Path) -> str:
    """The name of the array that data.target gives. Raises DataError for several."""
    names = [target] if isinstance(target, str) else target
    if len(names) != 1:
        rule = f"data.target must name one array, got {len(names)}"
        remedy = "Save the values as one array (N, O) and name it."
        raise DataError(rule, file=file, remedy=remedy, code="invalid-value")
    return names[0]


def _kind_of(goals: Parts) -> str:
    first = next(iter(goals.values()))
    return "value" if first.dtype.kind == "f" or (first.ndim == 2 and first.shape[1] > 1) else "class"


def _parts(file: Path, found: Arrays, inputs: str, target: str) -> tuple[Parts, Parts, dict[str, str]]:
    """Inputs and targets of each part, of equal length, and the arrays that are not read."""
    names = names_of_parts(file, found, inputs, target)
    given, goals = Parts(), Parts()
    for part, pair in names.items():
        for into, name, key in ((given, pair[0], "data.inputs"), (goals, pair[1], "data.target")):
            if name not in found:
                near = nearest_array(name, found)
                has = f"Available: {', '.join(found) or 'none'}"
                remedy = f"Did you mean {setting(key, near)}?" if near else f"{has}. Set {key}."
                raise DataError(f"array {name!r} ({key}) not found", file=file, remedy=remedy, code="not-found")
            into[part] = found[name]()
            if not into[part].ndim:
                raise DataError(f"array {name!r} must have samples, got a single number", file=file)
        if len(given[part]) != len(goals[part]):
            rule = f"{pair[0]!r} has {len(given[part]):,} samples, but {pair[1]!r} {len(goals[part]):,}"
            raise DataError(rule, file=file)
    kinds = {f"{part.shape[1:]} {part.dtype}" for part in given.values()}
    if len(kinds) > 1:
        rule = f"the samples of the parts have different shapes or types: {', '.join(sorted(kinds))}"
        raise DataError(rule, file=file)
    if next(iter(given.values())).ndim not in (2, 3, 4):
        shape = next(iter(given.values())).shape
        rule = f"{inputs!r} must be images (N, H, W) or (N, C, H, W), or a table (N, F); got shape {shape}"
        raise DataError(rule, file=file)
    read = {name for pair in names.values() for name in pair}
    return given, goals, {name: "is not used" for name in found if name not in read}


def _targets(file: Path, goals: Parts, name: str, kind: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """((N,) class numbers, class names) or ((N, O) float64 values, their names). Raises DataError."""
    kind = _kind_of(goals) if kind == "auto" else kind
    whole = np.concatenate([np.asarray(part) for part in goals.values()])
    if whole.ndim == 2 and whole.shape[1] == 1:
        whole = whole[:, 0]
    if whole.dtype.kind not in "biufU" or whole.ndim > 2 or (kind == "class" and whole.ndim > 1):
        rule = f"{name!r} must have one {kind} per sample, got {whole.dtype} of shape {whole.shape}"
        raise DataError(rule, file=file, remedy=_SHAPES, code="invalid-type")
    if whole.dtype.kind == "f" or kind == "value":
        if whole.dtype.kind == "U":
            rule = f"{name!r} must hold numbers for data.target_kind=value, got texts"
            raise DataError(rule, file=file, code="invalid-type")
        small = np.abs(whole.reshape(len(whole), -1).astype(np.float64)) <= LARGEST  # NaN is not
        bad = np.flatnonzero(~small.all(axis=1))
        if len(bad):
            rule = f"{name!r} has {whole[bad[0]]} for sample {bad[0]}; it must be finite and at most {LARGEST:g}"
            raise DataError(rule, file=file)
    if kind == "value":
        values = whole.astype(np.float64).reshape(len(whole), -1)
        _refuse_rounding(file, name, whole)
        if reason := constant_reason(values, f"all samples have the target {values[0].tolist()}"):
            raise DataError(reason, file=file)
        count = values.shape[1]
        return values, (name,) if count == 1 else tuple(f"{name}_{number}" for number in range(count))
    if whole.dtype.kind == "f" and (whole != np.round(whole)).any():
        rule = f"{name!r} must hold whole numbers as classes, got fractions"
        raise DataError(rule, file=file, remedy="Set data.target_kind=value")
    classes, numbers = np.unique(whole, return_inverse=True)
    if len(classes) < 2 or len(classes) > len(whole) // 2:
        rule = f"{name!r} has {len(classes)} classes in {len(whole)} samples"
        remedy = "Set another data.target" + (", or set data.target_kind=value" if len(classes) > 1 else "")
        raise DataError(rule, file=file, remedy=remedy)
    texts = tuple(str(int(value)) if whole.dtype.kind in "iuf" else str(value) for value in classes)
    return numbers.astype(np.int64), texts


def _table(file: Path, given: Parts, name: str) -> dict[str, NDArray[Any]]:
    """The columns, (N,) float64 each. Raises DataError for infinite and too large numbers."""
    whole = np.concatenate([np.asarray(part) for part in given.values()])
    if whole.dtype.kind not in "biuf":
        raise DataError(f"{name!r} must hold numbers, got {whole.dtype}", file=file, code="invalid-type")
    _refuse_rounding(file, name, whole)
    numbers = whole.astype(np.float64)
    bad = np.argwhere(np.abs(numbers) > LARGEST)
    if len(bad):
        sample, feature = bad[0]
        rule = f"{name!r} has {numbers[sample, feature]} in feature {feature} of sample {sample}"
        raise DataError(rule, file=file, remedy=f"Correct it: at most {LARGEST:g}, or NaN if it is missing.")
    return {f"{name}_{number}": numbers[:, number] for number in range(numbers.shape[1])}


def _refuse_rounding(file: Path, name: str, values: NDArray[Any]) -> None:
    """Raise DataError for whole numbers that float64 cannot distinguish."""
    if reason := whole_number_reason(values):
        raise DataError(f"{name!r} has {reason}", file=file, remedy="Subtract a constant from them.")


def _refuse_on_a_table(augment: object, mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
    """Raise ValueError for settings of images."""
    for key, value, none in (("augment", augment, "none"), ("mean", mean, None), ("std", std, None)):
        if value != none:
            raise ValueError(f"{key}={value}: not supported with a table")
