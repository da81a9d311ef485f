"""The name of the data of a run: the option, or the file, folder or data set that the user names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

# Options for the user's own data, and the keys that name it, the first that is given. Other options name themselves.
NAMED_BY: Mapping[str, tuple[str, ...]] = {
    "csv": ("path",),
    "parquet": ("path",),
    "arrays": ("path",),
    "image_folder": ("path",),
    "text": ("path",),
    "series": ("path",),
    "series_classes": ("path",),
    "pairs": ("path",),
    "corpus": ("path",),
    "captions": ("path",),
    "tagged": ("path",),
    "super_resolution": ("path",),
    "huggingface": ("folder", "name"),
}
_HANDED_OVER = ("dataframe", "text_dataframe", "ndarrays")  # by a Python program, without a name
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".tgz")
_MOST_CHARACTERS, _MOST_BYTES = 40, 100
_RESERVED = re.compile(r"(?:con|prn|aux|nul|latest|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)


def is_own_data(option: str) -> bool:
    """Return whether an option of the group data reads the user's own data."""
    return option in NAMED_BY or option in _HANDED_OVER


def data_name(option: str, arguments: Mapping[str, Any]) -> str:
    """The name of the data: that of its file or folder without suffix for the user's own data, otherwise the option.

    The name is safe as a part of the name of a directory: letters and digits of any script, `.`, `_` and `-`, at most
    40 characters and 100 bytes of UTF-8. `people` for data/people.csv.gz, `digits` for data=digits.

    Args:
        option: The option of the group data.
        arguments: Its keys, with secrets unresolved.
    """
    given = [arguments.get(key) for key in NAMED_BY.get(option, ())]
    place = next((value for value in given if isinstance(value, str) and value.strip()), None)
    if place is None or "${" in place:
        return option
    return safe_name(without_suffix(PurePath(place).name)) or option


def without_suffix(name: str) -> str:
    """The name of a file without its suffix, and without that of a compressed file before it."""
    for _ in range(2):
        suffix = PurePath(name).suffix
        if not _SUFFIX.fullmatch(suffix) or suffix[1:].isdigit():  # `v1.2` is a name
            break
        name = name[: -len(suffix)]
        if suffix.lower() not in _COMPRESSED:
            break
    return name


def safe_name(text: str) -> str:
    """A text as a part of a file name: letters, digits, `.` and `_`, all others as `-`; "" if none is left."""
    words = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode()))
    short = re.sub(r"-{2,}", "-", words).strip("-.")[:_MOST_CHARACTERS]
    short = short.encode()[:_MOST_BYTES].decode(errors="ignore").strip("-.")
    return "" if _RESERVED.fullmatch(short) else short
