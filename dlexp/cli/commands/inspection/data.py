"""`dlexp data ...`: look at data before anything is trained on it.

The commands of the group; each loads what it needs in its body, so that help answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlexp.cli import completion
from dlexp.cli import options as given
from dlexp.cli.argv import setting_of
from dlexp.cli.fast_typer import PlainGroup

data = typer.Typer(
    name="data",
    cls=PlainGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look at data before anything is trained on it.",
)

Split = Annotated[str, typer.Option("--split", help="train, val or test", autocompletion=completion.splits)]
Count = Annotated[int, typer.Option("--count", help="samples to show, 400 at most")]
Epoch = Annotated[int, typer.Option("--epoch", help="as the samples come in this epoch; the first is 1")]
Folder = Annotated[Path, typer.Option("--out", metavar="DIR", help="where check.json and check.png go")]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="the picture, a PNG")]


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
    """Draw samples as they are and as training sees them; of a table, rows and a histogram of each column."""
    from dlexp.cli.views import data as data_views
    from dlexp.workflows.data.settings import PreviewRequest

    request = PreviewRequest(split, count, epoch, out)
    data_views.preview(tuple(overrides or ()), request, setting_of(config_dir, trust), json)


@data.command()
def fingerprint(
    overrides: given.Overrides = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Say which data this is: its identity, what its splits hold, and what it was made of."""
    from dlexp.cli.views import data as data_views

    data_views.fingerprint(tuple(overrides or ()), setting_of(config_dir, trust), json)


@data.command()
def check(
    overrides: given.Overrides = None,
    out: Folder = Path(),
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Look for what spoils training: copies across splits, broken files, rare classes, leaks; 3 for errors."""
    from dlexp.cli.views import data as data_views

    data_views.check(tuple(overrides or ()), out, setting_of(config_dir, trust), json)
