"""The `dlexp` command and the signatures of its subcommands.

torch, hydra and matplotlib are imported in the bodies of the commands only, so that help and completion are fast.
"""

from __future__ import annotations

import copy
import os
import sys
from typing import Annotated

import typer

from dlexp import __version__
from dlexp.cli import app_runs, app_use
from dlexp.cli import options as given
from dlexp.cli.argv import argv_for_completion, hint_at_keys, hint_at_multirun, with_empty_values
from dlexp.cli.argv import common_options as _common
from dlexp.cli.commands.inspection.data import data
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


@app.command()
def train(
    overrides: given.Overrides = None,
    resume: given.Resume = None,
    from_run: given.FromRun = None,
    seeds: given.Seeds = None,
    multirun: given.Multirun = False,
    jobs: given.SweepJobs = 1,
    run_dir: given.RunDirectory = None,
    run_id: given.RunId = None,
    allow_changes: given.AllowChanges = False,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    dry_run: given.DryRun = False,
    quiet: given.Quiet = False,
    json: given.Json = False,
) -> None:
    """Train a model and save it in a run directory."""
    from dlexp.cli.commands.configuration import TrainArguments
    from dlexp.cli.commands.training import train as commands

    request = TrainArguments(
        tuple(overrides or ()), resume, from_run, seeds, run_dir, dry_run, allow_changes, run_id, multirun, jobs
    )
    commands.train(request, _common(config_dir, trust), quiet or json, json)


@app.command()
def evaluate(
    run: given.Run = "latest",
    overrides: given.EvaluationOverrides = None,
    split: given.Split = "test",
    checkpoint: given.Checkpoint = "best",
    resamples: given.Resamples = 1000,
    level: given.Level = 0.95,
    allow_changes: given.EvaluateChanged = False,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Evaluate a run, or a group of seeds, on a split. Metrics have confidence intervals."""
    from dlexp.cli.commands.results import evaluate as command

    arguments = command.EvaluateArguments(
        run, tuple(overrides or ()), split, checkpoint, allow_changes, resamples, level
    )
    command.evaluate(arguments, tuple(trust or ()), json)


app.command()(app_use.predict)
app.command()(app_use.export)
app.command()(app_use.report)
app.command()(app_use.adapt)
app.command()(app_use.replay)


@app.command("lr-find")
def lr_find(
    overrides: given.Overrides = None,
    min_lr: given.MinRate = 1e-7,
    max_lr: given.MaxRate = 10.0,
    steps: given.SweepSteps = 100,
    seeds: given.SweepSeeds = 1,
    loss: given.SweepLoss = "train",
    val_batches: given.ValBatches = 4,
    apply: given.Apply = False,
    run_dir: given.RunDirectory = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    quiet: given.Quiet = False,
    json: given.Json = False,
) -> None:
    """Find a learning rate with a range test. It is suggested only if the loss curve is clear."""
    from dlexp.cli.commands.training import lr_find as command
    from dlexp.workflows.lr_find.settings import SweepSettings

    settings = SweepSettings(min_lr, max_lr, steps, seeds, loss, val_batches)
    arguments = command.FindArguments(tuple(overrides or ()), run_dir, apply)
    command.lr_find(arguments, settings, _common(config_dir, trust), quiet or json, json)


@app.command()
def profile(
    overrides: given.Overrides = None,
    steps: given.ProfileSteps = None,
    run_dir: given.RunDirectory = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    quiet: given.Quiet = False,
    json: given.Json = False,
) -> None:
    """Profile the time and memory of a training update. The cost of the whole run is estimated."""
    from dlexp.cli.commands.training import profile as command
    from dlexp.workflows.profile.settings import ProfileRequest

    request = ProfileRequest(tuple(overrides or ()), run_dir=run_dir, steps=steps)
    command.profile(request, _common(config_dir, trust), quiet or json, json)


@app.command()
def tune(
    overrides: given.Overrides = None,
    trials: given.Trials = 50,
    name: given.StudyName = None,
    jobs: given.Jobs = 1,
    storage: given.Storage = None,
    migrate: given.Migrate = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    dry_run: given.DryRunOfStudy = False,
    dashboard: given.Dashboard = False,
    quiet: given.Quiet = False,
    json: given.Json = False,
) -> None:
    """Search for hyperparameters. The same command continues its study until it has --trials trials."""
    from dlexp.cli.commands.training import tune as command

    arguments = command.TuneArguments(tuple(overrides or ()), trials, name, jobs, storage, dry_run, dashboard, migrate)
    command.tune(arguments, _common(config_dir, trust), quiet or json, json)


@app.command()
def verify(
    run_or_overrides: given.RunOrOverrides = None,
    at: given.StopAt = None,
    determinism: given.Determinism = False,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    quiet: given.Quiet = False,
    json: given.Json = False,
) -> None:
    """Verify that resuming a run is bit-exact. A run is stopped, resumed and compared with an uninterrupted one."""
    from dlexp.cli.commands.training import verify as command

    found = command.VerifyArguments(tuple(run_or_overrides or ()), tuple(at or ()), determinism)
    command.verify(found, _common(config_dir, trust), quiet or json, json)


@app.command()
def summary(
    overrides: given.Overrides = None,
    depth: given.Depth = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Print the layers of a model. With output shapes, parameters, multiply-adds and memory; nothing is trained."""
    from dlexp.cli.commands.inspection import summary as command

    command.summary(tuple(overrides or ()), depth, _common(config_dir, trust), json)


@app.command()
def config(
    overrides: given.Overrides = None,
    explain: given.Explain = None,
    sources: given.Sources = False,
    plot_schedule: given.PlotSchedule = None,
    machine: given.Machine = False,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Print the composed configuration. Nothing is trained."""
    if plot_schedule is not None:
        from dlexp.cli.commands.inspection import schedule

        schedule.plot_schedule(tuple(overrides or ()), plot_schedule, _common(config_dir, trust), json)
        return
    if machine:
        from dlexp.cli.commands.inspection.machine import machine as show_machine

        show_machine(tuple(overrides or ()), _common(config_dir, trust), json)
        return
    from dlexp.cli.commands.inspection import config as command

    command.config(tuple(overrides or ()), explain, sources, _common(config_dir, None), json)


@app.command("list")
def list_options(
    group: given.Group = None,
    config_dir: given.ConfigDirs = None,
    json: given.Json = False,
) -> None:
    """List the options of all configuration groups, or of one."""
    from dlexp.cli.commands.inspection import list as listing

    listing.list_options(group, _common(config_dir, None), json)


app.add_typer(app_runs.runs_app, name="runs")
app.command()(app_runs.compare)


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
