"""The command `dlexp report`: writes an HTML page and prints its path."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from dlexp.artifacts.runs.run_dir import named_run, newest_runs, outputs_root
from dlexp.cli.argv import CommonOptions
from dlexp.cli.console import err, escape, out, print_json
from dlexp.config.check.suggest import nearest_name
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError


@dataclass(frozen=True)
class ReportArguments:
    """The arguments of `dlexp report`."""

    runs: tuple[str, ...]
    out: Path | None
    open: bool


def report(arguments: ReportArguments, common: CommonOptions, as_json: bool) -> None:
    """Write the page, print its path and open it if requested."""
    folders = [_named(name) for name in arguments.runs or ("latest",)]
    from dlexp.workflows.report import report as workflow

    made = workflow(folders, arguments.out, Catalog(common.config_dirs))
    if as_json:
        print_json({**asdict(made), "path": str(made.path)})
    else:
        for problem in made.problems:
            err.print(f"[yellow]missing on the page[/]: {escape(problem)}")
        near = min(os.path.relpath(made.path), str(made.path), key=len)
        out.print(f"  page     {escape(near)}  ({made.size / 1000:,.0f} kB, self-contained)")
    if arguments.open:
        _open(made.path)


def _named(name: str) -> Path:
    """The directory of a run or study. Raises ConfigError with the closest name if it does not exist."""
    path = named_run(name)
    if path.exists():
        return path
    found = [*newest_runs(), *(path.parent for path in (outputs_root() / "tune").glob("*/study.json"))]
    near = nearest_name(path.name, [path.name for path in found])
    newest = f"The newest run is {found[0]}" if found else "Create a run with dlexp train"
    raise ConfigError.one(
        name, "", "run or study not found", f"Did you mean {near}?" if near else newest, code="not-found"
    )


def _open(path: Path) -> None:
    import webbrowser

    if not webbrowser.open(path.absolute().as_uri()):
        err.print("cannot open the page: no browser found")
