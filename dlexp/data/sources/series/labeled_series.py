"""The data source `series_classes`: labeled series of the UEA and UCR archives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlexp.data.bundle import DataBundle
from dlexp.data.series.labeled import labeled_bundle, with_labels
from dlexp.data.series.series_set import REFUSE
from dlexp.data.series.ts_file import is_ts, label_kind, read_ts
from dlexp.errors import ConfigError, DataError
from dlexp.findings import counted, listed_places
from dlexp.text.quoting import setting

__all__ = ["series_classes", "target_kind"]


def series_classes(
    *,
    path: str,
    target_kind: str = "auto",
    gaps: str = REFUSE,
    on_bad: str = "fail",
    standardize: bool = True,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    val_path: str | None = None,
    test_path: str | None = None,
    anomalies: Sequence[str] = (),
) -> DataBundle:
    """Series of .ts files, each with a class or a value: inputs (T, channels), of any lengths.

    target_kind  what the header says, class or value; auto: either
    on_bad       what becomes of series without a label: fail, or skip
    See `labeled_bundle` for the other arguments and what is raised.
    """
    _check(path, target_kind)
    paths = (path, val_path, test_path)
    files = [None if one is None else read_ts(_ts(one)) for one in paths]
    left: list[str] = []
    if on_bad == "skip":
        files = [None if found is None else with_labels(found, left) for found in files]
    bundle = labeled_bundle(files, (val_fraction, test_fraction, split_seed), gaps, standardize, anomalies)
    if left:
        note = f"{counted(len(left), 'series', 'series')} without a label left out: {listed_places(left)}"
        bundle = replace(bundle, notes=(*bundle.notes, note), left_out=(*bundle.left_out, *left))
    beside = _test_beside(Path(path))
    if test_path is None and beside is not None:
        note = f"{beside.name} is not read: the test split is drawn from {Path(path).name}. To use it, add "
        return replace(bundle, notes=(*bundle.notes, note + setting("data.test_path", str(beside))))
    return bundle


def target_kind(arguments: Mapping[str, Any]) -> str:
    """`class` or `value`, as the header of data.path says."""
    return _check(str(arguments["path"]), str(arguments["target_kind"]))


def _check(path: str, wanted: str) -> str:
    kind = label_kind(_ts(path))
    if wanted not in ("auto", kind):
        rule = f"but the labels of {path} are of kind {kind}"
        raise ConfigError.one("data.target_kind", wanted, rule, "Set data.target_kind=auto", code="cannot-combine")
    return kind


def _ts(path: str) -> Path:
    found = Path(path)
    if not is_ts(found):
        rule = "must be a .ts file: series of the UEA and UCR archives, with a label after each"
        raise DataError(rule, file=path, remedy="To forecast series of a table, use data=series", code="not-supported")
    return found


def _test_beside(path: Path) -> Path | None:
    """The test file of the archive that belongs to NAME_TRAIN.ts."""
    if not path.stem.endswith("_TRAIN"):
        return None
    found = path.with_name(path.stem.removesuffix("_TRAIN") + "_TEST" + path.suffix)
    return found if found.is_file() else None
