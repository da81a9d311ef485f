"""Where dlexp keeps the options that come with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def builtin_root() -> Path:
    """The folder of dlexp's own options: inside the installed package, or beside it in a source checkout."""
    package = Path(__file__).resolve().parents[2]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


def option_file(roots: Iterable[Path], group: str, name: str) -> Path | None:
    """The file of an option, or of what options extend, under the first root that has it."""
    return next((path for path in (root / group / f"{name}.yaml" for root in roots) if path.is_file()), None)
