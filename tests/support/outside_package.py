"""A user's own package with its options, and the command line that runs it in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dlexp.artifacts.runs.metrics_log import read_metrics
from dlexp.cli.app import main
from dlexp.config.files.catalog import Catalog

GLOBAL = "# @package _global_\n# An experiment\n"
OWN = ("--config-dir", "conf", "--trust", "outside")


@contextmanager
def installed(folder: Path, package: str, options: Mapping[str, str]) -> Iterator[None]:
    """`folder` with the module `outside` and its options in conf/; the module is forgotten afterwards.

    Args:
        folder: The current directory, which a trusted package is found in.
        package: Text of the module.
        options: GROUP/OPTION -> text of its file.
    """
    (folder / "outside.py").write_text(package)
    for name, text in options.items():
        file = folder / "conf" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    path = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = path
        sys.modules.pop("outside", None)


def dlexp(*words: str, code: int = 0) -> None:
    """Run `dlexp WORDS` in this process and assert its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == code


def rows_of(run: str) -> list[dict[str, float]]:
    """The rows of metrics.csv of a run, without its pace."""
    _, rows = read_metrics(Path(run) / "metrics.csv")
    pace = ("seconds", "samples_per_s")
    return [{name: float(cell) for name, cell in row.items() if name not in pace} for row in rows]


def report_of(run: str, split: str = "test") -> dict[str, Any]:
    """The report.json of an evaluation of a run."""
    found: dict[str, Any] = json.loads((Path(run) / "eval" / split / "report.json").read_text())
    return found


def own_catalog(folder: Path, files: dict[str, str]) -> Catalog:
    """File name below `folder`/my -> text; the catalog that `--config-dir my` has."""
    root = folder / "my"
    root.mkdir(exist_ok=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Catalog((root,))
