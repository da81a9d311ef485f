"""A folder of the user's own, beside dlexp's options."""

from __future__ import annotations

from pathlib import Path

from dlexp.config.files.catalog import Catalog

GLOBAL = "# @package _global_\n# An experiment\n"


def own_catalog(folder: Path, files: dict[str, str]) -> Catalog:
    """File name below `folder`/my -> text; the catalog that `--config-dir my` has."""
    root = folder / "my"
    root.mkdir(exist_ok=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Catalog((root,))
