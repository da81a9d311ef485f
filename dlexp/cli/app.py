"""The `dlexp` command: its subcommands, its own options, and `main`.

Only the modules of the commands that are named on the command line are imported: help lists the others from the table
below. A module of a command imports what it requires in the bodies of its functions, so that help and completion are
fast.
"""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from dlexp import __version__
from dlexp.cli.argv import argv_for_completion, hint_at_runs, with_empty_values
from dlexp.cli.fast_typer import InvalidLine, PlainGroup, only_named
from dlexp.cli.process import exit_code, reset_inherited_state
from dlexp.cli.style import replace_unencodable_characters, visible_errors
from dlexp.text.dashes import begins_with_long_dash

if TYPE_CHECKING:
    from dlexp.cli.correction import CommandOptions


class Command(NamedTuple):
    """A command in the order of help.

    Attributes:
        name: Its name on the command line.
        place: `module:function` in dlexp.cli.commands.
        summary: The first sentence of its help.
    """

    name: str
    place: str
    summary: str


COMMANDS = (
    Command("train", "training.train:train", "Train a model and save it in a run directory."),
    Command(
        "evaluate", "results.evaluate:evaluate", "Evaluate a run, a group of seeds or the jobs of a sweep on a split."
    ),
    Command(
        "predict",
        "results.predict:predict",
        "Predict new images, table rows, texts or arrays, with a run or the mean of a group of seeds.",
    ),
    Command(
        "sample",
        "results.sample:sample",
        "Make samples with a generative run, reconstruct data, or go from one sample to another.",
    ),
    Command(
        "compress",
        "results.compress:compress",
        "Make the network of a run smaller: prune it, lower its ranks, quantize it.",
    ),
    Command("export", "results.export:export", "Export the network of a run and check its outputs."),
    Command(
        "explain",
        "results.explain:explain_run",
        "Explain outputs of a run: which pixels, columns or steps they depend on.",
    ),
    Command(
        "doctor",
        "results.doctor:doctor",
        "Diagnose a run, or a configuration before it is trained.",
    ),
    Command("report", "results.report:report", "Write an HTML report on a run, a study or several runs."),
    Command("adapt", "results.adapt:adapt", "Adapt the normalization layers of a run to other data."),
    Command("replay", "training.replay:replay", "Repeat the failed training step of a run."),
    Command("lr-find", "training.lr_find:lr_find", "Find a learning rate with a range test."),
    Command("profile", "training.profile:profile", "Profile the time and memory of a training update."),
    Command("tune", "training.tune:tune", "Search for hyperparameters."),
    Command("verify", "training.verify:verify", "Verify that resuming a run is bit-exact."),
    Command("summary", "inspection.summary:summary", "Print the layers of a model."),
    Command(
        "gradcheck",
        "inspection.gradcheck:gradcheck",
        "Compare the gradients of a model and its loss with numerical ones.",
    ),
    Command("inspect", "inspection.inspect:inspect", "Draw what a trained network holds and computes."),
    Command("config", "inspection.config:config", "Print the composed configuration."),
    Command("list", "inspection.list:list_options", "List the options of all configuration groups, or of one."),
    Command("compare", "results.compare:compare", "Compare configurations, with confidence intervals."),
    Command("data", "inspection.data:data", "Preview, fingerprint and check data before training on it."),
    Command("runs", "results.runs:runs_app", "List, show and delete runs."),
)
_WITHOUT_TORCH = ("list", "runs")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dlexp {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", "-V", help="print the version and exit", is_eager=True, callback=_print_version)
]


def _options(context: typer.Context, version: Version = False) -> None:
    # A docstring here would replace the help text of the whole command.
    os.environ["MPLBACKEND"] = "agg"  # a shell started from Jupyter sets a backend that may not be installed here
    if context.invoked_subcommand != "list":
        from dlexp.errors import refuse_without_folder

        refuse_without_folder()
    if context.invoked_subcommand not in _WITHOUT_TORCH:
        from dlexp.runtime.process import prepare_process

        prepare_process()


def _not_imported() -> None:
    """Stand for a command that is not named on the command line."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line and end the process with the documented exit code."""
    argv = with_empty_values(list(sys.argv[1:] if argv is None else argv))
    reset_inherited_state()
    replace_unencodable_characters()

    if {"--install-completion", "--show-completion"} & {word.partition("=")[0] for word in argv}:
        from dlexp.cli.completion_scripts import use_own_scripts

        use_own_scripts()

    def run() -> None:
        if any(map(begins_with_long_dash, argv)):
            _explain(argv)
        try:
            app_with([*argv, *argv_for_completion(os.environ)])(args=argv, prog_name="dlexp")
        except InvalidLine as invalid:
            _explain(argv, invalid)

    with visible_errors():
        sys.exit(exit_code(run, argv, lambda: hint_at_runs(argv)))


def _explain(line: list[str], invalid: InvalidLine | None = None) -> None:
    """Raise ConfigError with the problems of a line, or print the message of typer on a line that it refuses."""
    from dlexp.cli.correction import command_problem, line_problems
    from dlexp.errors import ConfigError

    names = [command.name for command in COMMANDS]
    problem, words = command_problem(line, names), line
    problems = [] if problem is None else [problem]
    if problem is not None and problem.instead is not None:
        words = list(problem.instead) if problem.typed == tuple(line) else [*problem.instead, *line[1:]]
    if words and words[0] in names and (own := _options_of(words)) is not None:
        problems += line_problems(words, words[len(own.name.split()) :], own)
    if problems:
        raise ConfigError(problems) from invalid
    if invalid is not None:
        invalid.error.show()
        raise SystemExit(invalid.error.exit_code) from invalid.error


def _options_of(line: Sequence[str]) -> CommandOptions | None:
    """The options of the command with which a line begins; None for `dlexp data` and `dlexp runs` with no command."""
    from typer.main import get_command

    from dlexp.cli.correction import CommandOptions

    command: Any = get_command(app_with(line))
    path: list[str] = []
    for word in line:
        if word not in getattr(command, "commands", {}):
            break
        command = command.commands[word]
        path.append(word)
    if getattr(command, "commands", None):
        return None
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    flags = {name: option.is_flag for option in options for name in (*option.opts, *option.secondary_opts)}
    metavars = [str(parameter.metavar) for parameter in command.params if parameter.param_type_name == "argument"]
    return CommandOptions(" ".join(path), flags | {"--help": True, "-h": True}, any("=" in text for text in metavars))


def app_with(named: Sequence[str] | None = None) -> typer.Typer:
    """The app; commands that are not in `named` have a name and a summary only. None: all commands are complete."""
    found = typer.Typer(
        name="dlexp",
        cls=PlainGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Train, evaluate and compare neural networks from the command line.\n\n"
        "Arguments with dashes are options of the command; GROUP=OPTION and KEY=VALUE set the configuration. They can "
        "be given in any order.",
    )
    found.callback()(_options)
    for command in COMMANDS:
        if named is not None and command.name not in named:
            found.command(command.name, help=command.summary)(_not_imported)
            continue
        module, _, name = command.place.partition(":")
        target: Any = getattr(import_module(f"dlexp.cli.commands.{module}"), name)
        if isinstance(target, typer.Typer):
            found.add_typer(_group(target, named), name=command.name)
        else:
            found.command(command.name)(target)
    return found


def _group(whole: typer.Typer, named: Sequence[str] | None) -> typer.Typer:
    """A group of commands in which only the commands in `named` have options, which is faster to build."""
    if named is None:
        return whole
    found = copy.copy(whole)
    found.registered_commands = list(only_named(whole.registered_commands, named))
    return found


__all__ = ["COMMANDS", "app_with", "main"]
