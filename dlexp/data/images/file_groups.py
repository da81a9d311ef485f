"""Groups of image files, such as the images of one patient, found in their paths.

Symbols: N files.
"""

from __future__ import annotations

import os
import re
from pathlib import PurePath

import numpy as np

from dlexp.data.images.decoding import printable_name
from dlexp.data.images.listing import Listing
from dlexp.data.splits.division import RowKeys
from dlexp.errors import ConfigError, DataError
from dlexp.text.quoting import setting

KEY = "data.group"
FOLDER = "folder"
_EXAMPLE = "^([^_]+)_"  # what comes before the first underscore


def keys_of_files(listing: Listing, group: str | None, root: object) -> RowKeys:
    """What divides the files of a folder.

    Args:
        listing: The files, with the split of each where the folder has splits.
        group: `folder`: the folder of a file below its class folder; or a regular expression that finds the group in
            the path below the class folder: its first group in parentheses, or all that it matches; None for no groups.
        root: The folder, for error messages.

    Raises DataError for files in which no group is found, ConfigError for an invalid pattern.
    """
    parts = listing.splits if (listing.splits != "").any() else None
    if group is None:
        return RowKeys(parts=parts)
    paths = [_below_class(os.fsdecode(bytes(name)), listing.classes[label])
             for name, label in zip(listing.names, listing.labels.tolist(), strict=True)]  # fmt: skip
    names = [_folder_of(path) for path in paths] if group == FOLDER else _matches(group, paths)
    wrong = [number for number, name in enumerate(names) if not name]
    if wrong:
        example = printable_name(os.fsdecode(bytes(listing.names[wrong[0]])))
        what = "is in no folder below its class" if group == FOLDER else f"does not match {group!r}"
        rule = f"{example} {what} ({KEY})" + (f", as {len(wrong) - 1:,} more" if len(wrong) > 1 else "")
        what = "patient1_003.png, whose patient comes before the first _"
        remedy = f"For files such as {what}, set {setting(KEY, _EXAMPLE)}"
        raise DataError(rule, file=str(root), remedy=remedy)
    known, numbers = np.unique(np.array(names), return_inverse=True)
    return RowKeys(groups=numbers.astype(np.int64), group_names=tuple(known.tolist()), parts=parts)


def _below_class(path: str, name: str) -> str:
    """The path below the class folder `name`, the first of its folders with this name."""
    parts = PurePath(path).parts
    return "/".join(parts[parts.index(name) + 1 :])


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def _matches(pattern: str, paths: list[str]) -> list[str]:
    try:
        found = re.compile(pattern)
    except re.error as error:
        rule = f"not a regular expression: {error}"
        remedy = f"Set {setting(KEY, FOLDER)}, or a pattern such as {setting(KEY, _EXAMPLE)}"
        raise ConfigError.one(KEY, pattern, rule, remedy, code="invalid-value") from error
    matches = [found.search(path) for path in paths]
    return ["" if match is None else match[1 if found.groups else 0] or "" for match in matches]
