"""The `dlexp` command: words in, answers out. Every command is a few lines; what they do is in `workflows`.

Nothing here imports torch, hydra or matplotlib before a command's body runs, so help and completion answer at once.
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
from dlexp.cli.argv import hint_at_keys, hint_at_multirun, typed_for_completion, with_empty_values
from dlexp.cli.argv import setting_of as _setting
from dlexp.cli.commands.inspection.data import data
from dlexp.cli.fast_typer import PlainGroup, only_named
from dlexp.cli.process import exit_code, settle_inheritance
from dlexp.cli.style import accept_every_letter, visible_errors
from dlexp.errors import refuse_without_folder

app = typer.Typer(
    name="dlexp",
    cls=PlainGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train, evaluate and compare neural networks from one command line.\n\n"
    "Words with dashes belong to the tool; GROUP=OPTION and KEY=VALUE belong to the configuration. Any order works.",
)

_WITHOUT_TORCH = ("list", "runs")

app.add_typer(data, name="data")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dlexp {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", "-V", help="print the version", is_eager=True, callback=_print_version)
]


@app.callback()
def _options(context: typer.Context, version: Version = False) -> None:
    # A docstring here would replace the help text of the whole command.
    os.environ["MPLBACKEND"] = "agg"  # a shell started from Jupyter names a backend that may not be installed here
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
    jobs: given.CellJobs = 1,
    run_dir: given.RunDirectory = None,
    run_id: given.RunId = None,
    allow_changes: given.AllowChanges = False,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    dry_run: given.DryRun = False,
    quiet: given.Quiet = False,
    json: given.Json = False,
) -> None:
    """Train a model and leave a run directory that can be trusted, repeated and compared."""
    from dlexp.cli.commands.configuration import TrainWords
    from dlexp.cli.commands.training import train as commands

    request = TrainWords(
        tuple(overrides or ()), resume, from_run, seeds, run_dir, dry_run, allow_changes, run_id, multirun, jobs
    )
    commands.train(request, _setting(config_dir, trust), quiet or json, json)


@app.command()
def evaluate(
    run: given.Run = "latest",
    overrides: given.EvaluationWords = None,
    split: given.Split = "test",
    checkpoint: given.Checkpoint = "best",
    resamples: given.Resamples = 1000,
    level: given.Level = 0.95,
    allow_changes: given.AllowChanges = False,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Evaluate a run on a split that training never saw; several seeds of one configuration are evaluated together."""
    from dlexp.cli.commands.results import evaluate as command

    words = command.EvaluateWords(run, tuple(overrides or ()), split, checkpoint, allow_changes, resamples, level)
    command.evaluate(words, tuple(trust or ()), json)


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
    """Sweep the learning rate on a copy of the model, and suggest one where the curve is clear."""
    from dlexp.cli.commands.training import lr_find as command
    from dlexp.workflows.lr_find.settings import SweepSettings

    settings = SweepSettings(min_lr, max_lr, steps, seeds, loss, val_batches)
    words = command.FindWords(tuple(overrides or ()), run_dir, apply)
    command.lr_find(words, settings, _setting(config_dir, trust), quiet or json, json)


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
    """Measure where an update's time and memory go, and what the whole run will cost."""
    from dlexp.cli.commands.training import profile as command
    from dlexp.workflows.profile.settings import ProfileRequest

    request = ProfileRequest(tuple(overrides or ()), run_dir=run_dir, steps=steps)
    command.profile(request, _setting(config_dir, trust), quiet or json, json)


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
    """Search the space of the chosen options; the same line again goes on to the total."""
    from dlexp.cli.commands.training import tune as command

    words = command.TuneWords(tuple(overrides or ()), trials, name, jobs, storage, dry_run, dashboard, migrate)
    command.tune(words, _setting(config_dir, trust), quiet or json, json)


@app.command()
def verify(
    words: given.VerifyWords = None,
    at: given.StopAt = None,
    determinism: given.Determinism = False,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    quiet: given.Quiet = False,
    json: given.Json = False,
) -> None:
    """Prove that a run that is stopped and resumed ends with the bits of one that never stopped."""
    from dlexp.cli.commands.training import verify as command

    found = command.VerifyWords(tuple(words or ()), tuple(at or ()), determinism)
    command.verify(found, _setting(config_dir, trust), quiet or json, json)


@app.command()
def summary(
    overrides: given.Overrides = None,
    depth: given.Depth = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Show the layers of a model on its data: shapes, parameters, multiply-adds, memory; nothing is trained."""
    from dlexp.cli.commands.inspection import summary as command

    command.summary(tuple(overrides or ()), depth, _setting(config_dir, trust), json)


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
    """Print the configuration that the words describe, or what it comes to on this machine; nothing is run."""
    if plot_schedule is not None:
        from dlexp.cli.commands.inspection import schedule

        schedule.plot_schedule(tuple(overrides or ()), plot_schedule, _setting(config_dir, trust), json)
        return
    if machine:
        from dlexp.cli.commands.inspection.machine import machine as show_machine

        show_machine(tuple(overrides or ()), _setting(config_dir, trust), json)
        return
    from dlexp.cli.commands.inspection import config as command

    command.config(tuple(overrides or ()), explain, sources, _setting(config_dir, None), json)


@app.command("list")
def list_options(
    group: given.Group = None,
    config_dir: given.ConfigDirs = None,
    json: given.Json = False,
) -> None:
    """List the options of every group, or of one, with a line of description each."""
    from dlexp.cli.commands.inspection import list as listing

    listing.list_options(group, _setting(config_dir, None), json)


app.add_typer(app_runs.runs_app, name="runs")
app.command()(app_runs.compare)


def main(argv: list[str] | None = None) -> None:
    """Run the command line and end the process with the documented exit code."""
    words = with_empty_values(list(sys.argv[1:] if argv is None else argv))
    settle_inheritance()
    accept_every_letter()

    def run() -> None:
        _as_far_as_named([*words, *typed_for_completion(os.environ)])(args=words, prog_name="dlexp")

    def hint() -> None:
        hint_at_keys(words)
        hint_at_multirun(words)

    with visible_errors():
        sys.exit(exit_code(run, words, hint))


def _as_far_as_named(words: list[str], whole: typer.Typer = app) -> typer.Typer:
    """The app, with the options of those commands that `words` may mean."""
    found = copy.copy(whole)
    found.registered_commands = list(only_named(whole.registered_commands, words))
    found.registered_groups = [copy.copy(group) for group in whole.registered_groups]
    for group in found.registered_groups:
        group.typer_instance = _as_far_as_named(words, group.typer_instance) if group.typer_instance else None
    return found


__all__ = ["app", "main"]
