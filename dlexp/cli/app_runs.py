"""The signatures of `dlexp runs` and `dlexp compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlexp.cli import completion
from dlexp.cli.fast_typer import PlainGroup
from dlexp.cli.options import Json

Runs = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN...", help="run directories or groups of seeds", autocompletion=completion.runs),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where", metavar="KEY=VALUE", help="only runs that meet a condition, such as 'optim.lr<1e-3'; repeatable"
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="do not ask for confirmation")]


def compare(
    runs: Runs = None,
    where: Where = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="KEYS", help="group the runs by these keys, such as model,optim.lr")
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="accuracy, balanced_accuracy or log_loss; mae or mse for regression")
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="test, val or train", autocompletion=completion.splits)
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="plot the curves of all runs")] = None,
    save: Annotated[bool, typer.Option("--save", help="also write the comparison to outputs/compare/")] = False,
    json: Json = False,
) -> None:
    """Compare configurations, with confidence intervals."""
    from dlexp.cli.commands.results import compare as command

    arguments = command.CompareArguments(tuple(runs or ()), tuple(where or ()), by, metric, split, plot, save)
    command.compare(arguments, json)


runs_app = typer.Typer(cls=PlainGroup, invoke_without_command=True, rich_markup_mode=None, no_args_is_help=False)


@runs_app.callback()
def runs(
    context: typer.Context,
    kind: Annotated[str, typer.Option("--kind", help="train, tune, lr-find or all")] = "train",
    state: Annotated[
        str | None, typer.Option("--state", help="running, finished, failed, interrupted or died; separate with commas")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="only this model; * matches any text")] = None,
    data: Annotated[str | None, typer.Option("--data", help="only this data set; * matches any text")] = None,
    where: Where = None,
    since: Annotated[
        str | None, typer.Option("--since", help="only runs started within, e.g., 30min, 12h or 2d")
    ] = None,
    sort: Annotated[str | None, typer.Option("--sort", metavar="KEY", help="sort by this key, best first")] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="KEYS", help="columns to show, such as seed,optim.lr,val/loss")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="show at most this many runs")] = None,
    json: Json = False,
) -> None:
    """List, show and delete runs. Without a subcommand, list them, newest first."""
    from dlexp.cli.commands.results import runs as command

    arguments = command.ListArguments(kind, state, model, data, tuple(where or ()), since, sort, columns, limit)
    if context.invoked_subcommand is None:
        command.list_runs(arguments, json)
    elif arguments != command.ListArguments() or json:
        command.refuse_before(context.invoked_subcommand)


@runs_app.command("show")
def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="a run or `latest`", autocompletion=completion.runs)],
    json: Json = False,
) -> None:
    """Show one run: its command, state, metrics and files."""
    from dlexp.cli.commands.results import runs as command

    command.show(run, json)


@runs_app.command("rm")
def rm(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="runs to delete", autocompletion=completion.runs)],
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Delete runs, groups of seeds, studies or sweeps, after confirmation."""
    from dlexp.cli.commands.results import runs as command

    command.rm(runs, yes, json)


@runs_app.command("prune")
def prune(
    keep_best: Annotated[int, typer.Option("--keep-best", min=1, metavar="K", help="number of runs to keep per group")],
    metric: Annotated[
        str | None, typer.Option("--metric", help="rank by this metric, such as val/accuracy; default: trainer.monitor")
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="KEYS", help="group the runs by these keys")] = "model,data",
    where: Where = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="also delete runs that failed, were interrupted or died")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="list the runs to delete without deleting them")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Delete all but the best runs of each group, after confirmation. Active runs and sources of init_from stay."""
    from dlexp.cli.commands.results import runs as command

    command.prune(command.PruneArguments(keep_best, metric, by, tuple(where or ()), unfinished, dry_run, yes), json)
