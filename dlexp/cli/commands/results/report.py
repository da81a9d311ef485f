"""The command `dlexp report`: writes an HTML page and opens it if requested."""

from __future__ import annotations

from pathlib import Path

from dlexp.cli import options as given
from dlexp.cli.argv import common_options
from dlexp.cli.style import print_json
from dlexp.errors import ConfigError


def report(
    runs: given.Pages = None,
    out: given.PageFile = None,
    open_it: given.OpenPage = False,
    config_dir: given.ConfigDirs = None,
    json: given.Json = False,
) -> None:
    """Write an HTML report on a run, a study or several runs. The page is self-contained."""
    folders = [_named(name) for name in runs or ("latest",)]
    from dataclasses import asdict

    from dlexp.cli.views.results import report as view
    from dlexp.config.files.catalog import Catalog
    from dlexp.workflows.report import report as workflow

    made = workflow(folders, out, Catalog(common_options(config_dir, None).config_dirs))
    if json:
        print_json({**asdict(made), "path": str(made.path)})
    else:
        view.show(made.path, made.size, made.problems)
    if open_it and not _opens(made.path):
        view.no_browser()


def _named(name: str) -> Path:
    """The directory of a run or study. Raises ConfigError with the closest name if it does not exist."""
    from dlexp.artifacts.runs.run_dir import missing_run, named_run

    path = named_run(name)
    if path.exists():
        return path
    rule, remedy = missing_run(name)
    raise ConfigError.one(name, "", rule, remedy, code="not-found")


def _opens(path: Path) -> bool:
    """Open the page in a browser; returns whether there is one."""
    import webbrowser

    return webbrowser.open(path.absolute().as_uri())
