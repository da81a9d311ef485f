"""Where dlexp keeps the options that come with it."""

from __future__ import annotations

from pathlib import Path


def builtin_root() -> Path:
    """The folder of dlexp's own options: inside the installed package, or beside it in a source checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"
