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
from dlexp.cli import complete
from dlexp.cli.words import hint_at_keys, with_resume_value
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

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[GROUP=OPTION | KEY=VALUE]...",
        help="the configuration, such as model=resnet18 optim.lr=0.01",
        autocompletion=complete.overrides,
    ),
]
ConfigDirs = Annotated[
    list[Path] | None,
    typer.Option("--config-dir", help="a folder with groups of your own, such as my_conf/model/my_net.yaml"),
]
Trust = Annotated[
    list[str] | None,
    typer.Option("--trust", metavar="PACKAGE", help="a package of your own that a configuration may call"),
]
RunDirectory = Annotated[
    Path | None, typer.Option("--run-dir", "-o", help="use exactly this directory, which must be new or empty")
]
RunId = Annotated[
    str | None,
    typer.Option("--run-id", metavar="ID", help="start outputs/train/ID, continue it, or leave it finished"),
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="[RUN]",
        help="continue the newest unfinished run, or RUN, in its own directory",
        autocompletion=complete.runs,
    ),
]
FromRun = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="RUN", help="repeat a past run, with the changes given", autocompletion=complete.runs
    ),
]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, help="train this many runs that differ in the seed alone")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="build everything, make one update in memory, write nothing")]
Run = Annotated[str, typer.Argument(help="a run directory, or `latest`", autocompletion=complete.runs)]
EvaluationWords = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...", help="trainer.device, trainer.precision, data.eval_batch_size or data.path"
    ),
]
ReplayWords = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="trainer.device")]
Split = Annotated[str, typer.Option("--split", help="train, val or test", autocompletion=complete.splits)]
Checkpoint = Annotated[str, typer.Option("--checkpoint", help="best or last")]
Trials = Annotated[int, typer.Option("--trials", "-n", min=1, help="how many trials the study has in all")]
StudyName = Annotated[
    str | None, typer.Option("--name", help="the study's directory under outputs/tune; an old name goes on with it")
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="trials side by side on this machine")]
Storage = Annotated[
    str | None,
    typer.Option("--storage", metavar="URL", help="sqlite:///, journal:/// or postgresql://: what machines can share"),
]
Migrate = Annotated[
    str | None, typer.Option("--migrate", metavar="STUDY", help="begin with the trials of STUDY that lie in this space")
]
DryRunOfStudy = Annotated[
    bool, typer.Option("--dry-run", help="the space, sampled configurations and a bound on the cost; nothing is run")
]
Dashboard = Annotated[
    bool, typer.Option("--dashboard", help="show the study of --name or --storage in a browser; nothing is run")
]
Explain = Annotated[
    str | None,
    typer.Option("--explain", metavar="KEY", help="value, rule, default, help and origin of one key"),
]
Sources = Annotated[bool, typer.Option("--sources", help="every key with where its value comes from")]
Group = Annotated[str | None, typer.Argument(help="model, optim, scheduler, ...", autocompletion=complete.groups)]
MinRate = Annotated[float, typer.Option("--min-lr", help="where the sweep begins")]
MaxRate = Annotated[float, typer.Option("--max-lr", help="where it ends, unless the loss diverges before")]
SweepSteps = Annotated[int, typer.Option("--steps", help="updates of a sweep, 20 or more")]
SweepSeeds = Annotated[int, typer.Option("--seeds", help="sweeps with other weights and order; their median counts")]
SweepLoss = Annotated[str, typer.Option("--loss", help="train: of each update's samples; val: of validation samples")]
ValBatches = Annotated[int, typer.Option("--val-batches", help="batches of validation samples, for --loss val")]
Apply = Annotated[
    bool, typer.Option("--apply", help="write the override, also as experiment=lr_found into the first --config-dir")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress, only the result")]
Json = Annotated[bool, typer.Option("--json", help="the result as one JSON document on standard output")]


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
    config_dir: ConfigDirs = None,
    trust: Trust = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train a model and leave a run directory that can be trusted, repeated and compared."""
    from dlexp.cli import commands

    request = commands.TrainWords(tuple(overrides or ()), resume, from_run, seeds, run_dir, dry_run, run_id)
    commands.train(request, _setting(config_dir, trust), quiet or json, json)


@app.command()
def evaluate(
    run: Run = "latest",
    overrides: EvaluationWords = None,
    split: Split = "test",
    checkpoint: Checkpoint = "best",
    trust: Trust = None,
    json: Json = False,
) -> None:
    """Evaluate a run on a split that training never saw; several seeds of one configuration are evaluated together."""
    from dlexp.cli import commands

    commands.evaluate(run, tuple(overrides or ()), split, checkpoint, tuple(trust or ()), json)


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
def config(
    overrides: Overrides = None,
    explain: Explain = None,
    sources: Sources = False,
    config_dir: ConfigDirs = None,
    json: Json = False,
) -> None:
    """Print the configuration that the words describe; nothing is run."""
    from dlexp.cli import commands

    commands.config(tuple(overrides or ()), explain, sources, _setting(config_dir, None), json)


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
    words = with_resume_value(list(sys.argv[1:] if argv is None else argv))
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
