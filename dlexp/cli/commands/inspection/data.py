"""The commands `dlexp data preview`, `fingerprint` and `check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlexp.cli import options as given
from dlexp.cli.argv import CommonOptions, common_options
from dlexp.cli.fast_typer import PlainGroup
from dlexp.cli.style import print_json
from dlexp.errors import ConfigError

if TYPE_CHECKING:
    from dlexp.config.schema.run import RunConfig

_HAS_ERRORS = 3  # exit code, that of DataError

data = typer.Typer(
    name="data",
    cls=PlainGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Preview, fingerprint and check data before training on it.",
)

Count = Annotated[int, typer.Option("--count", help="number of samples to show, at most 400")]
Epoch = Annotated[int, typer.Option("--epoch", help="epoch whose order and augmentation are shown, from 1")]
Folder = Annotated[Path, typer.Option("--out", metavar="DIR", help="directory for check.json and check.png")]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="PNG file to write")]


@data.command()
def preview(
    overrides: given.Overrides = None,
    split: given.Split = "train",
    count: Count = 32,
    epoch: Epoch = 1,
    out: Out = Path("preview.png"),
    config_file: given.ConfigFiles = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Draw samples before and after augmentation. For a table, print rows and draw a histogram of each column."""
    from dlexp.cli.commands.configuration import trusted_of
    from dlexp.workflows.data.settings import PreviewRequest

    request, common = PreviewRequest(split, count, epoch, out), common_options(config_dir, trust)
    request.check()
    config = _config(overrides, config_file, common)
    from dlexp.cli.views.inspection.data import preview as view
    from dlexp.workflows.data.preview import preview as workflow

    facts = workflow(config, request, trusted_of(common))
    if json:
        print_json(facts)
    else:
        view(facts)


@data.command()
def fingerprint(
    overrides: given.Overrides = None,
    config_file: given.ConfigFiles = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Print the fingerprint and the contents of the data."""
    from dlexp.cli.commands.configuration import trusted_of

    common = common_options(config_dir, trust)
    config = _config(overrides, config_file, common)
    from dlexp.cli.views.inspection.data import fingerprint as view
    from dlexp.workflows.data.fingerprint import fingerprint as workflow

    facts = workflow(config, trusted_of(common))
    if json:
        print_json(facts)
    else:
        view(facts)


@data.command()
def check(
    overrides: given.Overrides = None,
    out: Folder = Path(),
    config_file: given.ConfigFiles = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Check data for errors. Duplicates across splits, corrupted files, rare classes, leakage; exit code 3 if any."""
    if out.exists() and not out.is_dir():
        raise ConfigError.one("--out", out, "is a file", "Name a directory.", code="invalid-value")
    from dlexp.cli.commands.configuration import trusted_of

    common = common_options(config_dir, trust)
    config = _config(overrides, config_file, common)
    from dlexp.cli.views.inspection.data import check as view
    from dlexp.workflows.data.check import check as workflow

    facts = workflow(config, out, trusted_of(common))
    if json:
        print_json(facts)
    else:
        view(facts)
    if facts["counts"]["error"]:
        raise typer.Exit(_HAS_ERRORS)


def _config(overrides: list[str] | None, files: list[Path] | None, common: CommonOptions) -> RunConfig:
    from dlexp.cli.commands.configuration import catalog_of, words_of
    from dlexp.config.compose import load

    catalog = catalog_of(common)
    return load(words_of(overrides, files, catalog), catalog)
