"""The directory of the built-in configuration files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def builtin_root() -> Path:
    """Return the directory of the built-in options: inside the installed package, or next to it in a checkout."""
    package = Path(__file__).resolve().parents[2]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


def option_file(roots: Iterable[Path], group: str, name: str) -> Path | None:
    """Return the file of an option, or of a base file, in the first directory that has it."""
    return next((path for path in (root / group / f"{name}.yaml" for root in roots) if path.is_file()), None)
