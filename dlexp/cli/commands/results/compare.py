"""The command `dlexp compare`: compares runs and writes the requested files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlexp.cli import completion
from dlexp.cli import options as given
from dlexp.cli.style import print_json, short_path
from dlexp.errors import ConfigError

if TYPE_CHECKING:
    from dlexp.workflows.compare.compare import Comparison


def compare(
    runs: given.Runs = None,
    where: given.Where = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="KEYS", help="group the runs by these keys, such as model,optim.lr")
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="metric of the verdict; default: accuracy, or mae for regression")
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="test, val or train", autocompletion=completion.splits)
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="plot the curves of all runs")] = None,
    save: Annotated[bool, typer.Option("--save", help="also write the comparison to outputs/compare/")] = False,
    json: given.Json = False,
) -> None:
    """Compare configurations, with confidence intervals."""
    from dlexp.artifacts.runs.run_dir import named_run
    from dlexp.artifacts.runs.run_tree import is_sweep
    from dlexp.workflows.compare import compare as workflow

    if bool(runs) == bool(where):
        rule = "requires either the runs to compare or --where KEY=VALUE"
        raise ConfigError.one("dlexp compare", "", rule, "List the runs with dlexp runs", code="missing-value")
    keys = tuple(key for key in (by or "").split(",") if key)
    if runs:
        folders = [named_run(name) for name in runs]
    else:
        from dlexp.workflows.runs.query import finished_where

        folders = finished_where(tuple(where or ()))
    # The jobs of a sweep have a table of validation metrics even if none was evaluated.
    is_one_sweep = len(folders) == 1 and is_sweep(folders[0])
    options = workflow.CompareOptions(metric=metric, split=split, by=keys, tables_only=is_one_sweep)
    found = workflow.compare(folders, options)
    from dlexp.cli.views.results import compare as view

    if json:
        print_json(found.as_dict())
    else:
        view.show(found)
    lines = _written(found, plot, save)
    if not json:
        view.print_files(lines)


def _written(found: Comparison, plot: Path | None, wants_files: bool) -> list[str]:
    """Write the requested files; returns a line to print for each."""
    if plot is None and not wants_files:
        return []
    from dlexp.workflows.compare.files import save, write_plot
    from dlexp.workflows.pictures import Pictures

    lines = []
    if plot is not None:
        write_plot(found, plot)
        lines.append(f"curves   {plot}")
    if wants_files:
        pictures = Pictures()
        lines.append(f"saved    {short_path(str(save(found, pictures)))}")
        lines += [f"not plotted: {problem}" for problem in pictures.undrawn]
    return lines
