"""The words of `dlexp runs` and `dlexp compare`; what they do is in `workflows`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlexp.cli import complete
from dlexp.cli.options import Json

Runs = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN...", help="run directories, or groups of seeds", autocompletion=complete.runs),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where", metavar="KEY=VALUE", help="only runs where this holds, such as 'optim.lr<1e-3'; may repeat"
    ),
]


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
        str | None, typer.Option("--split", help="test, val or train", autocompletion=complete.splits)
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="draw the curves over each other")] = None,
    save: Annotated[bool, typer.Option("--save", help="also write outputs/compare/<time>-.../")] = False,
    json: Json = False,
) -> None:
    """Say which of several configurations is better, by how much, and how sure that is."""
    from dlexp.cli import compare as command

    words = command.CompareWords(tuple(runs or ()), tuple(where or ()), by, metric, split, plot, save)
    command.compare(words, json)
