"""The `dlexp` command: its subcommands, its own options, and `main`.

A module of a command imports what it requires in the bodies of its functions, so that help and completion are fast.
"""

from __future__ import annotations

import copy
import os
import sys
from typing import Annotated

import typer

from dlexp import __version__
from dlexp.cli.argv import argv_for_completion, hint_at_keys, hint_at_multirun, with_empty_values
from dlexp.cli.commands.inspection.config import config
from dlexp.cli.commands.inspection.data import data
from dlexp.cli.commands.inspection.list import list_options
from dlexp.cli.commands.inspection.summary import summary
from dlexp.cli.commands.results.adapt import adapt
from dlexp.cli.commands.results.compare import compare
from dlexp.cli.commands.results.evaluate import evaluate
from dlexp.cli.commands.results.export import export
from dlexp.cli.commands.results.predict import predict
from dlexp.cli.commands.results.report import report
from dlexp.cli.commands.results.runs import runs_app
from dlexp.cli.commands.training.lr_find import lr_find
from dlexp.cli.commands.training.profile import profile
from dlexp.cli.commands.training.replay import replay
from dlexp.cli.commands.training.train import train
from dlexp.cli.commands.training.tune import tune
from dlexp.cli.commands.training.verify import verify
from dlexp.cli.fast_typer import PlainGroup, only_named
from dlexp.cli.process import exit_code, reset_inherited_state
from dlexp.cli.style import replace_unencodable_characters, visible_errors
from dlexp.errors import refuse_without_folder

app = typer.Typer(
    name="dlexp",
    cls=PlainGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train, evaluate and compare neural networks from the command line.\n\n"
    "Arguments with dashes are options of the command; GROUP=OPTION and KEY=VALUE set the configuration. They can be "
    "given in any order.",
)

_WITHOUT_TORCH = ("list", "runs")

app.add_typer(data, name="data")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dlexp {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", "-V", help="print the version and exit", is_eager=True, callback=_print_version)
]


@app.callback()
def _options(context: typer.Context, version: Version = False) -> None:
    # A docstring here would replace the help text of the whole command.
    os.environ["MPLBACKEND"] = "agg"  # a shell started from Jupyter sets a backend that may not be installed here
    if context.invoked_subcommand != "list":
        refuse_without_folder()
    if context.invoked_subcommand not in _WITHOUT_TORCH:
        from dlexp.runtime.process import prepare_process

        prepare_process()


# Help lists the commands in this order.
app.command()(train)
app.command()(evaluate)
app.command()(predict)
app.command()(export)
app.command()(report)
app.command()(adapt)
app.command()(replay)
app.command("lr-find")(lr_find)
app.command()(profile)
app.command()(tune)
app.command()(verify)
app.command()(summary)
app.command()(config)
app.command("list")(list_options)
app.add_typer(runs_app, name="runs")
app.command()(compare)


def main(argv: list[str] | None = None) -> None:
    """Run the command line and end the process with the documented exit code."""
    argv = with_empty_values(list(sys.argv[1:] if argv is None else argv))
    reset_inherited_state()
    replace_unencodable_characters()

    def run() -> None:
        _with_named_options([*argv, *argv_for_completion(os.environ)])(args=argv, prog_name="dlexp")

    def hint() -> None:
        hint_at_keys(argv)
        hint_at_multirun(argv)

    with visible_errors():
        sys.exit(exit_code(run, argv, hint))


def _with_named_options(argv: list[str], whole: typer.Typer = app) -> typer.Typer:
    """A copy of the app in which only the commands named in `argv` have options, which is faster to build."""
    found = copy.copy(whole)
    found.registered_commands = list(only_named(whole.registered_commands, argv))
    found.registered_groups = [copy.copy(group) for group in whole.registered_groups]
    for group in found.registered_groups:
        group.typer_instance = _with_named_options(argv, group.typer_instance) if group.typer_instance else None
    return found


__all__ = ["app", "main"]
