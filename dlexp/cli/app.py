"""The `dlexp` command: words in, answers out. Every command is a few lines; what they do is in `workflows`.

Nothing here imports torch, hydra or matplotlib before a command's body runs, so help and completion answer at once.
"""

from __future__ import annotations

import gc
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dlexp import __version__
from dlexp.cli.options import (
    AllowChanges,
    Apply,
    Checkpoint,
    ConfigDirs,
    Dashboard,
    Depth,
    Determinism,
    DryRun,
    DryRunOfStudy,
    EvaluationWords,
    Explain,
    FromRun,
    Group,
    Jobs,
    Json,
    MaxRate,
    Migrate,
    MinRate,
    Overrides,
    PlotSchedule,
    ProfileSteps,
    Quiet,
    ReplayWords,
    Resume,
    Run,
    RunDirectory,
    RunId,
    Seeds,
    Sources,
    Split,
    StopAt,
    Storage,
    StudyName,
    SweepLoss,
    SweepSeeds,
    SweepSteps,
    Trials,
    Trust,
    ValBatches,
    VerifyWords,
)
from dlexp.cli.words import hint_at_keys, with_empty_values
from dlexp.errors import DlexpError, exit_code_of
from dlexp.runtime.machine import prepare_process

app = typer.Typer(
    name="dlexp",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train, evaluate and compare neural networks from one command line.\n\n"
    "Words with dashes belong to the tool; GROUP=OPTION and KEY=VALUE belong to the configuration. Any order works.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dlexp {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", "-V", help="print the version", is_eager=True, callback=_print_version)
]


@app.callback()
def _options(version: Version = False) -> None:
    # A docstring here would replace the help text of the whole command.
    del version


@app.command()
def train(
    overrides: Overrides = None,
    resume: Resume = None,
    from_run: FromRun = None,
    seeds: Seeds = None,
    run_dir: RunDirectory = None,
    run_id: RunId = None,
    allow_changes: AllowChanges = False,
    config_dir: ConfigDirs = None,
    trust: Trust = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train a model and leave a run directory that can be trusted, repeated and compared."""
    from dlexp.cli import commands

    request = commands.TrainWords(
        tuple(overrides or ()), resume, from_run, seeds, run_dir, dry_run, allow_changes, run_id
    )
    commands.train(request, _setting(config_dir, trust), quiet or json, json)


@app.command()
def evaluate(
    run: Run = "latest",
    overrides: EvaluationWords = None,
    split: Split = "test",
    checkpoint: Checkpoint = "best",
    allow_changes: AllowChanges = False,
    trust: Trust = None,
    json: Json = False,
) -> None:
    """Evaluate a run on a split that training never saw; several seeds of one configuration are evaluated together."""
    from dlexp.cli import commands

    words = commands.EvaluateWords(run, tuple(overrides or ()), split, checkpoint, allow_changes)
    commands.evaluate(words, tuple(trust or ()), json)


@app.command()
def replay(
    run: Run = "latest",
    overrides: ReplayWords = None,
    trust: Trust = None,
    json: Json = False,
) -> None:
    """Make the step happen again that ended a run, from its crash capsule; no data set is needed."""
    from dlexp.cli import replay as command

    command.replay(run, tuple(overrides or ()), tuple(trust or ()), json)


@app.command("lr-find")
def lr_find(
    overrides: Overrides = None,
    min_lr: MinRate = 1e-7,
    max_lr: MaxRate = 10.0,
    steps: SweepSteps = 100,
    seeds: SweepSeeds = 1,
    loss: SweepLoss = "train",
    val_batches: ValBatches = 4,
    apply: Apply = False,
    run_dir: RunDirectory = None,
    config_dir: ConfigDirs = None,
    trust: Trust = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Sweep the learning rate on a copy of the model, and suggest one where the curve is clear."""
    from dlexp.cli import lr_find as command
    from dlexp.workflows.lr_settings import SweepSettings

    settings = SweepSettings(min_lr, max_lr, steps, seeds, loss, val_batches)
    words = command.FindWords(tuple(overrides or ()), run_dir, apply)
    command.lr_find(words, settings, _setting(config_dir, trust), quiet or json, json)


@app.command()
def profile(
    overrides: Overrides = None,
    steps: ProfileSteps = None,
    run_dir: RunDirectory = None,
    config_dir: ConfigDirs = None,
    trust: Trust = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Measure where an update's time and memory go, and what the whole run will cost."""
    from dlexp.cli import profile as command
    from dlexp.workflows.profile_settings import ProfileRequest

    request = ProfileRequest(tuple(overrides or ()), run_dir=run_dir, steps=steps)
    command.profile(request, _setting(config_dir, trust), quiet or json, json)


@app.command()
def tune(
    overrides: Overrides = None,
    trials: Trials = 50,
    name: StudyName = None,
    jobs: Jobs = 1,
    storage: Storage = None,
    migrate: Migrate = None,
    config_dir: ConfigDirs = None,
    trust: Trust = None,
    dry_run: DryRunOfStudy = False,
    dashboard: Dashboard = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Search the space of the chosen options; the same line again goes on to the total."""
    from dlexp.cli import tune as command

    words = command.TuneWords(tuple(overrides or ()), trials, name, jobs, storage, dry_run, dashboard, migrate)
    command.tune(words, _setting(config_dir, trust), quiet or json, json)


@app.command()
def verify(
    words: VerifyWords = None,
    at: StopAt = None,
    determinism: Determinism = False,
    config_dir: ConfigDirs = None,
    trust: Trust = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Prove that a run that is stopped and resumed ends with the bits of one that never stopped."""
    from dlexp.cli import verify as command

    found = command.VerifyWords(tuple(words or ()), tuple(at or ()), determinism)
    command.verify(found, _setting(config_dir, trust), quiet or json, json)


@app.command()
def summary(
    overrides: Overrides = None,
    depth: Depth = None,
    config_dir: ConfigDirs = None,
    trust: Trust = None,
    json: Json = False,
) -> None:
    """Show the layers of a model on its data: shapes, parameters, multiply-adds, memory; nothing is trained."""
    from dlexp.cli import summary as command

    command.summary(tuple(overrides or ()), depth, _setting(config_dir, trust), json)


@app.command()
def config(
    overrides: Overrides = None,
    explain: Explain = None,
    sources: Sources = False,
    plot_schedule: PlotSchedule = None,
    config_dir: ConfigDirs = None,
    trust: Trust = None,
    json: Json = False,
) -> None:
    """Print the configuration that the words describe; nothing is run."""
    from dlexp.cli import commands

    if plot_schedule is not None:
        from dlexp.cli import schedule

        schedule.plot_schedule(tuple(overrides or ()), plot_schedule, _setting(config_dir, trust), json)
        return
    commands.config(tuple(overrides or ()), explain, sources, _setting(config_dir, trust), json)


@app.command("list")
def list_options(
    group: Group = None,
    config_dir: ConfigDirs = None,
    json: Json = False,
) -> None:
    """List the options of every group, or of one, with a line of description each."""
    from dlexp.cli import commands

    commands.list_options(group, _setting(config_dir, None), json)


def main(argv: list[str] | None = None) -> None:
    """Run the command line and end the process with the documented exit code."""
    prepare_process()
    gc.set_threshold(100_000, 20, 20)  # the default collects dozens of times while imports make what stays
    words = with_empty_values(list(sys.argv[1:] if argv is None else argv))
    try:
        app(args=words, prog_name="dlexp")
    except SystemExit as error:
        if error.code == 2:
            hint_at_keys(words)
        raise
    except (DlexpError, KeyboardInterrupt) as error:
        if os.environ.get("DLEXP_DEBUG"):
            raise
        if isinstance(error, DlexpError):
            from dlexp.cli.console import show_error

            show_error(error, "--json" in words)
        sys.exit(exit_code_of(error))


def _setting(config_dirs: list[Path] | None, trust: list[str] | None) -> Any:
    from dlexp.cli.commands import Setting

    extra = os.environ.get("DLEXP_CONFIG_DIR")
    folders = (*(config_dirs or ()), *((Path(extra),) if extra else ()))
    return Setting(folders, tuple(trust or ()), shlex.join(["dlexp", *sys.argv[1:]]))


__all__ = ["app", "main"]
