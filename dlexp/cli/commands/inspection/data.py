"""The signatures of the `dlexp data` commands.

Each imports what it requires in its body, so that `--help` is fast.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlexp.cli import completion
from dlexp.cli import options as given
from dlexp.cli.argv import common_options
from dlexp.cli.fast_typer import PlainGroup

data = typer.Typer(
    name="data",
    cls=PlainGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Preview, fingerprint and check data before training on it.",
)

Split = Annotated[str, typer.Option("--split", help="train, val or test", autocompletion=completion.splits)]
Count = Annotated[int, typer.Option("--count", help="number of samples to show, at most 400")]
Epoch = Annotated[int, typer.Option("--epoch", help="epoch whose order and augmentation are shown, from 1")]
Folder = Annotated[Path, typer.Option("--out", metavar="DIR", help="directory for check.json and check.png")]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="PNG file to write")]


@data.command()
def preview(
    overrides: given.Overrides = None,
    split: Split = "train",
    count: Count = 32,
    epoch: Epoch = 1,
    out: Out = Path("preview.png"),
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Draw samples before and after augmentation. For a table, print rows and draw a histogram of each column."""
    from dlexp.cli.views import data as data_views
    from dlexp.workflows.data.settings import PreviewRequest

    request = PreviewRequest(split, count, epoch, out)
    data_views.preview(tuple(overrides or ()), request, common_options(config_dir, trust), json)


@data.command()
def fingerprint(
    overrides: given.Overrides = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Print the fingerprint and the contents of the data."""
    from dlexp.cli.views import data as data_views

    data_views.fingerprint(tuple(overrides or ()), common_options(config_dir, trust), json)


@data.command()
def check(
    overrides: given.Overrides = None,
    out: Folder = Path(),
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Check data for errors. Duplicates across splits, corrupted files, rare classes, leakage; exit code 3 if any."""
    from dlexp.cli.views import data as data_views

    data_views.check(tuple(overrides or ()), out, common_options(config_dir, trust), json)
