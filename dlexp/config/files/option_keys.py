"""Top-level keys of an option, matched line by line without a YAML parser, for fast shell completion.

Nested keys are not found; `Catalog.keys` parses the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dlexp.artifacts.files.reading import read_text
from dlexp.config.files.builtin import option_file

_KEY = re.compile(r"([A-Za-z]\w*) *:(?: |$)")
_BASE = re.compile(r"(?:^defaults: *\[|^ *- +|, *)(\w+)(?=[],]|$)")


def key_names(roots: Sequence[Path], group: str, option: str) -> dict[str, None]:
    """Return the keys of an option and of the files it extends, in file order."""
    lines = _lines(roots, group, option)
    files = (*(_lines(roots, group, base) for base in _bases(lines)), lines)
    matches = (_KEY.match(line) for file in files for line in file)
    return {match[1]: None for match in matches if match and match[1] != "defaults"}


def _lines(roots: Sequence[Path], group: str, name: str) -> list[str]:
    path = option_file(roots, group, name)
    try:
        return read_text(path, errors="replace").splitlines() if path else []
    except OSError:
        return []


def _bases(lines: Sequence[str]) -> Iterator[str]:
    """Yield the plain names in the `defaults` list."""
    within = False
    for line in lines:
        within = line.startswith("defaults:") or (within and line.startswith((" ", "-", "#")))
        if within:
            yield from (name for name in _BASE.findall(line) if name != "_self_")
