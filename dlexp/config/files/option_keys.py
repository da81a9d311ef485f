"""The keys of an option at a glance: by their lines, without a parser, so that TAB answers before YAML is loaded.

Keys inside a mapping are not looked for; whoever needs what a file says asks `Catalog.keys`.
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
    """The keys of an option and of the files that it extends, in the order of their lines."""
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
    """Plain names in the list under `defaults`."""
    within = False
    for line in lines:
        within = line.startswith("defaults:") or (within and line.startswith((" ", "-", "#")))
        if within:
            yield from (name for name in _BASE.findall(line) if name != "_self_")
