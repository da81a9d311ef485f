"""The commands `dlexp runs`, `show`, `rm` and `prune`, without importing rich."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from dlexp.cli import completion
from dlexp.cli import options as given
from dlexp.cli.fast_typer import PlainGroup
from dlexp.cli.style import print_json
from dlexp.errors import ConfigError

if TYPE_CHECKING:
    from dlexp.workflows.runs.query import Row
    from dlexp.workflows.runs.remove import Plan

runs_app = typer.Typer(cls=PlainGroup, invoke_without_command=True, rich_markup_mode=None, no_args_is_help=False)


class ListArguments(NamedTuple):
    """The arguments of `dlexp runs`; a dataclass would take a millisecond of every start."""

    kind: str = "train"
    state: str | None = None
    model: str | None = None
    data: str | None = None
    where: tuple[str, ...] = ()
    since: str | None = None
    sort: str | None = None
    columns: str | None = None
    limit: int | None = None


@runs_app.callback()
def runs(
    context: typer.Context,
    kind: Annotated[str, typer.Option("--kind", help="train, tune, lr-find or all")] = "train",
    state: Annotated[
        str | None, typer.Option("--state", help="running, finished, failed, interrupted or died; separate with commas")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="only this model; * matches any text")] = None,
    data: Annotated[str | None, typer.Option("--data", help="only this data set; * matches any text")] = None,
    where: given.Where = None,
    since: Annotated[
        str | None, typer.Option("--since", help="only runs started within, e.g., 30min, 12h or 2d")
    ] = None,
    sort: Annotated[str | None, typer.Option("--sort", metavar="KEY", help="sort by this key, best first")] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="KEYS", help="columns to show, such as seed,optim.lr,val/loss")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="show at most this many runs")] = None,
    json: given.Json = False,
) -> None:
    """List, show and delete runs. Without a subcommand, list them, newest first."""
    arguments = ListArguments(kind, state, model, data, tuple(where or ()), since, sort, columns, limit)
    if context.invoked_subcommand is None:
        _list(arguments, json)
    elif arguments != ListArguments() or json:
        _refuse_before(context.invoked_subcommand)


@runs_app.command("show")
def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="a run or `latest`", autocompletion=completion.runs)],
    json: given.Json = False,
) -> None:
    """Show one run: its command, state, metrics and files."""
    from dlexp.artifacts.files.reading import is_file
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.artifacts.runs.run_tree import MARKS, check_sweep, is_group, is_sweep, runs_in
    from dlexp.cli.views.results import runs as view
    from dlexp.workflows.runs import query as workflow

    path = named_run(run)
    path = path.resolve() if path.is_symlink() else path
    check_sweep(path)
    if is_group(path) or is_sweep(path):
        rows, broken = workflow.rows_of(runs_in(path), "train")
        if json:
            _print_json({"group": str(path), "runs": [row.as_dict() for row in rows], "broken": _as_dicts(broken)})
        else:
            view.group(rows, broken)
        return
    kind = next((kind for kind in reversed(MARKS) if is_file(path / MARKS[kind])), None)
    if kind is None:
        RunDir.find(path)  # raises an error
        raise AssertionError("a run directory has a config.yaml")
    row = workflow.read_row(path, kind)
    if json:
        config = dict(row.run.config) if row.run is not None else {}
        _print_json({**row.as_dict(), **_details(row), "config": config})
    else:
        view.one(row, _details(row))


@runs_app.command("rm")
def rm(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="runs to delete", autocompletion=completion.runs)],
    yes: given.Yes = False,
    json: given.Json = False,
) -> None:
    """Delete runs, groups of seeds, studies or sweeps, after confirmation."""
    from dlexp.artifacts.runs.run_dir import named_run
    from dlexp.workflows.runs.remove import plan_removal

    _carry_out(plan_removal([named_run(name) for name in runs]), yes, dry_run=False, as_json=json)


@runs_app.command("prune")
def prune(
    keep_best: Annotated[int, typer.Option("--keep-best", min=1, metavar="K", help="number of runs to keep per group")],
    metric: Annotated[
        str | None, typer.Option("--metric", help="rank by this metric, such as val/accuracy; default: trainer.monitor")
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="KEYS", help="group the runs by these keys")] = "model,data",
    where: given.Where = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="also delete runs that failed, were interrupted or died")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="list the runs to delete without deleting them")] = False,
    yes: given.Yes = False,
    json: given.Json = False,
) -> None:
    """Delete all but the best runs of each group, after confirmation. Active runs and sources of init_from stay."""
    from dlexp.workflows.runs.remove import plan_pruning

    keys = [key for key in by.split(",") if key]
    plan = plan_pruning(keep_best, metric, keys, tuple(where or ()), unfinished=unfinished)
    _carry_out(plan, yes, dry_run=dry_run, as_json=json)


def _list(arguments: ListArguments, as_json: bool) -> None:
    """Select the runs; print them and the directories that cannot be read."""
    from dlexp.artifacts.runs.run_tree import MARKS
    from dlexp.config.schema.tree import ABSENT
    from dlexp.workflows.runs import query as workflow

    chosen = _among("--kind", arguments.kind, ("all", *MARKS))
    kinds = list(MARKS) if chosen == ["all"] else chosen
    found = workflow.find_runs(kinds)
    rows = _filtered(found.rows, arguments)
    if arguments.sort:
        rows = workflow.sort_runs(rows, arguments.sort)
    columns = [key for key in (arguments.columns or "").split(",") if key]
    for key in columns:
        workflow.refuse_unknown("--columns", key, found.rows)
    hidden = len(rows) - (arguments.limit or len(rows))
    rows = rows[: arguments.limit or len(rows)]
    if as_json:
        values = [{key: None if (value := row.value(key)) is ABSENT else value for key in columns} for row in rows]
        listed = [{**row.as_dict(), **extra} for row, extra in zip(rows, values, strict=True)]
        _print_json({"runs": listed, "broken": _as_dicts(found.broken)})
        return
    from dlexp.cli.views.results import runs as view

    view.listing(found, rows, columns, several_kinds=len(kinds) > 1, hidden=hidden)


def _as_dicts(broken: Sequence[tuple[Path, str]]) -> list[dict[str, str]]:
    return [{"path": str(path), "reason": why} for path, why in broken]


def _refuse_before(command: str) -> None:
    """Raise ConfigError for options of the table before a subcommand, where they have no effect."""
    rule = "options before the subcommand have no effect"
    raise ConfigError.one(
        f"dlexp runs {command}", "", rule, f"Write them after it: dlexp runs {command} ...", code="no-effect"
    )


def _carry_out(plan: Plan, yes: bool, *, dry_run: bool, as_json: bool) -> None:
    """Print a removal plan, ask for confirmation and carry it out."""
    from dlexp.cli.views.results import runs as view
    from dlexp.workflows.runs.remove import remove

    content = {
        "removed": [] if dry_run else [str(planned.path) for planned in plan.going],
        "would_remove": [str(planned.path) for planned in plan.going] if dry_run else [],
        "kept": [{"path": str(kept.path), "why": kept.why} for kept in plan.kept],
        "bytes": plan.size,
    }
    if not as_json:
        view.removal(plan)
    if dry_run or not plan.going:
        if not as_json:
            view.would_remove(plan)
    elif yes or _confirmed(f"Delete {view.deletion_summary(plan)}?", as_json):
        content["bytes"] = remove(plan)
        if not as_json:
            view.removed(plan)
    else:  # only a terminal can decline
        view.removed(None)
    if as_json:
        _print_json(content)


def _confirmed(question: str, as_json: bool) -> bool:
    if as_json or not sys.stdin.isatty():
        raise ConfigError.one(
            "--yes", "", "cannot ask for confirmation without a terminal", "Add --yes.", code="missing-requirement"
        )
    return typer.confirm(question, default=False)


def _filtered(rows: Sequence[Row], arguments: ListArguments) -> list[Row]:
    from dlexp.workflows.runs import query as workflow

    kept = list(rows)
    if arguments.state:
        states = _among("--state", arguments.state, workflow.STATES)
        kept = [row for row in kept if row.facts["state"] in states]
    conditions = [f"{key}={value}" for key, value in (("model", arguments.model), ("data", arguments.data)) if value]
    if arguments.since:
        kept = workflow.parse_since(kept, arguments.since)
    return workflow.where(kept, [*conditions, *arguments.where])


def _among(option: str, text: str, allowed: Sequence[str]) -> list[str]:
    """The items of a comma-separated list. Raises ConfigError, with the closest name, unless all are in `allowed`."""
    given = [word.strip() for word in text.split(",")]
    for word in given:
        if word not in allowed:
            from dlexp.text.nearest import nearest_name

            near = nearest_name(word, allowed)
            rule = f"must be one of {', '.join(allowed)}"
            raise ConfigError.one(option, word, rule, f"Did you mean {near}?" if near else "", code="unknown-value")
    return given


def _details(row: Row) -> dict[str, Any]:
    """Additional facts for `show`: command, options, notes, checkpoints and evaluations."""
    from dlexp.artifacts.files.reading import is_file, read_text
    from dlexp.artifacts.runs.split_accesses import count_split_accesses
    from dlexp.workflows.run_record.read import SPLITS

    path = row.path
    found: dict[str, Any] = {}
    if is_file(path / "command.txt"):
        found["command"] = read_text(path / "command.txt", errors="replace").partition("\n")[0]
    if row.run is None:
        return found
    found["options"] = [f"{group}={option}" for group, option in row.run.choices.items()]
    found["continued"] = list(row.run.meta.get("continued", []))
    found["notes"] = list(row.run.meta.get("notes", []))
    found["checkpoints"] = sorted(item.name for item in (path / "checkpoints").glob("*.pt"))
    accesses = {split: count_split_accesses(path / "eval", split) for split in SPLITS}
    found["evaluated"] = [f"{split} {count}x" for split, count in accesses.items() if count]
    return found


def _print_json(value: Mapping[str, Any]) -> None:
    from dlexp.artifacts.files.writing import finite_or_none

    print_json(finite_or_none(value))
