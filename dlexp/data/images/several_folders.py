"""One listing of the folders of train, validation and test, with the classes of train.

Symbols: N files.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from dlexp.data.images.listing import IMAGES, FileKind, Listing, list_files
from dlexp.errors import DataError
from dlexp.findings import counted
from dlexp.text.quoting import listed


def list_folders(paths: Sequence[str | None], kind: FileKind = IMAGES, untrained: Collection[str] = ()) -> Listing:
    """The files of train, val and test, whose names are relative to the folder of train.

    paths  data.path, data.val_path and data.test_path, each with a folder for each class; None for no folder
    kind   the files to list, images by default
    untrained  classes that need no training images; of one folder with splits
    Raises DataError for a folder with splits where others are given, and for classes that train does not have.
    """
    roots = {part: Path(path) for part, path in zip(("train", "val", "test"), paths, strict=True) if path}
    first = roots["train"]
    if len(roots) == 1:
        return list_files(first, kind=kind, untrained=untrained)
    found = {part: list_files(root, kind=kind) for part, root in roots.items()}
    classes = found["train"].classes
    problems = []
    for part, listing in found.items():
        if (listing.splits != "").any():
            key = "data.path" if part == "train" else f"data.{part}_path"
            problems.append(f"{roots[part]} ({key}) has splits itself; name the folder of one of them")
        extra = [name for name in listing.classes if name not in classes]
        if extra and not problems:
            number = counted(len(extra), "class", "classes")
            problems.append(f"{roots[part]} (data.{part}_path) has {number} that train has not: {listed(extra)}")
    if problems:
        raise DataError("; ".join(problems), file=first, remedy="Rename, move or remove these folders.")
    names, labels, splits = [], [], []
    others: list[str] = []
    loose: list[str] = []
    for part, listing in found.items():
        way = os.path.relpath(roots[part], first)
        names += [os.fsencode(os.path.normpath(os.path.join(way, os.fsdecode(bytes(name))))) for name in listing.names]  # noqa: PTH118
        labels += [classes.index(listing.classes[label]) for label in listing.labels.tolist()]
        splits += [part] * len(listing.names)
        others += [os.path.normpath(os.path.join(way, name)) for name in listing.others]  # noqa: PTH118
        loose += [os.path.normpath(os.path.join(way, name)) for name in listing.loose]  # noqa: PTH118
    order = np.argsort(np.array(names, dtype=np.bytes_), kind="stable")
    return Listing(
        np.array(names, dtype=np.bytes_)[order],
        np.array(labels, dtype=np.int64)[order],
        np.array(splits)[order],
        classes,
        tuple(others),
        tuple(loose),
    )
