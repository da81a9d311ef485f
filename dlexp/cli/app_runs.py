"""The words of `dlexp runs` and `dlexp compare`; what they do is in `workflows`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlexp.cli import completion
from dlexp.cli.fast_typer import PlainGroup
from dlexp.cli.options import Json

Runs = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN...", help="run directories, or groups of seeds", autocompletion=completion.runs),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where", metavar="KEY=VALUE", help="only runs where this holds, such as 'optim.lr<1e-3'; may repeat"
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="do not ask")]


def compare(
    runs: Runs = None,
    where: Where = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="KEYS", help="groups by these keys, such as model,optim.lr")
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="accuracy, balanced_accuracy or log_loss; mae or mse for values")
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="test, val or train", autocompletion=completion.splits)
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="draw the curves over each other")] = None,
    save: Annotated[bool, typer.Option("--save", help="also write outputs/compare/<time>-.../")] = False,
    json: Json = False,
) -> None:
    """Say which of several configurations is better, by how much, and how sure that is."""
    from dlexp.cli.commands.results import compare as command

    words = command.CompareWords(tuple(runs or ()), tuple(where or ()), by, metric, split, plot, save)
    command.compare(words, json)


runs_app = typer.Typer(cls=PlainGroup, invoke_without_command=True, rich_markup_mode=None, no_args_is_help=False)


@runs_app.callback()
def runs(
    context: typer.Context,
    kind: Annotated[str, typer.Option("--kind", help="train, tune, lr-find or all")] = "train",
    state: Annotated[
        str | None, typer.Option("--state", help="running, finished, failed, interrupted or died; a,b for several")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="only this model; * stands for anything")] = None,
    data: Annotated[str | None, typer.Option("--data", help="only this data set; * stands for anything")] = None,
    where: Where = None,
    since: Annotated[str | None, typer.Option("--since", help="only what began within 30min, 12h, 2d or 1w")] = None,
    sort: Annotated[str | None, typer.Option("--sort", metavar="KEY", help="by this key, best first")] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="KEYS", help="these columns, such as seed,optim.lr,val/loss")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="no more than so many")] = None,
    json: Json = False,
) -> None:
    """List what was run, newest first; `rm`, `prune` and `show` are about single ones."""
    from dlexp.cli.commands.results import runs as command

    words = command.ListWords(kind, state, model, data, tuple(where or ()), since, sort, columns, limit)
    if context.invoked_subcommand is None:
        command.list_runs(words, json)
    elif words != command.ListWords() or json:
        command.refuse_before(context.invoked_subcommand)


@runs_app.command("show")
def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="a run, or `latest`", autocompletion=completion.runs)],
    json: Json = False,
) -> None:
    """Show what is known of one run: how it was started, how it ended, what came out."""
    from dlexp.cli.commands.results import runs as command

    command.show(run, json)


@runs_app.command("rm")
def rm(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="what to delete", autocompletion=completion.runs)],
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Delete runs, groups of seeds, studies or sweeps; asks before."""
    from dlexp.cli.commands.results import runs as command

    command.rm(runs, yes, json)


@runs_app.command("prune")
def prune(
    keep_best: Annotated[int, typer.Option("--keep-best", min=1, metavar="K", help="how many of each kind stay")],
    metric: Annotated[
        str | None, typer.Option("--metric", help="what is best, such as val/accuracy; each run's own otherwise")
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="KEYS", help="keys whose values make a kind")] = "model,data",
    where: Where = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="also those that failed, were interrupted or died")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would go; delete nothing")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Delete all but the best runs of each kind; asks before. What runs, or others began with, stays."""
    from dlexp.cli.commands.results import runs as command

    command.prune(command.PruneWords(keep_best, metric, by, tuple(where or ()), unfinished, dry_run, yes), json)
