"""`dlexp report`: from the words to a page, and where it lies."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from dlexp.artifacts.runs.run_dir import named_run, newest_runs, outputs_root
from dlexp.cli.argv import Setting
from dlexp.cli.console import err, escape, out, print_json
from dlexp.config.check.suggest import nearest
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError


@dataclass(frozen=True)
class ReportWords:
    """The words of `dlexp report`."""

    runs: tuple[str, ...]
    out: Path | None
    open: bool


def report(words: ReportWords, setting: Setting, as_json: bool) -> None:
    """Write the page, say where, and open it if asked to."""
    folders = [_named(name) for name in words.runs or ("latest",)]
    from dlexp.workflows.report import report as workflow

    made = workflow(folders, words.out, Catalog(setting.config_dirs))
    if as_json:
        print_json({**asdict(made), "path": str(made.path)})
    else:
        for problem in made.problems:
            err.print(f"[yellow]not on the page[/]: {escape(problem)}")
        near = min(os.path.relpath(made.path), str(made.path), key=len)
        out.print(f"  page     {escape(near)}  ({made.size / 1000:,.0f} kB, needs no network and no other file)")
    if words.open:
        _open(made.path)


def _named(name: str) -> Path:
    """The directory that is meant. Raises ConfigError with the nearest name where there is none."""
    path = named_run(name)
    if path.exists():
        return path
    found = [*newest_runs(), *(path.parent for path in (outputs_root() / "tune").glob("*/study.json"))]
    near = nearest(path.name, [path.name for path in found])
    newest = f"the newest run is {found[0]}" if found else "dlexp train makes one"
    raise ConfigError.one(name, "", "is no run or study", f"did you mean {near}?" if near else newest, code="not-found")


def _open(path: Path) -> None:
    import webbrowser

    if not webbrowser.open(path.absolute().as_uri()):
        err.print("no browser was found to open it with")
