"""The commands `dlexp runs`, `show`, `rm` and `prune`. Plain text, without importing rich."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from dlexp.artifacts.files.reading import is_file, read_text
from dlexp.artifacts.files.writing import finite_or_none
from dlexp.artifacts.runs.run_dir import RunDir, named_run, outputs_root
from dlexp.artifacts.runs.run_tree import MARKS, is_group, members
from dlexp.artifacts.runs.split_accesses import looks_at
from dlexp.cli.style import echo, print_json, styled
from dlexp.config.schema.tree import ABSENT, shown
from dlexp.errors import ConfigError
from dlexp.report.number_format import number
from dlexp.text.time_format import ago, spoken
from dlexp.workflows.run_record.read import SPLITS
from dlexp.workflows.runs import query as workflow
from dlexp.workflows.runs.query import Row

_COLORS = {"running": "cyan", "finished": "green", "failed": "red", "died": "red", "interrupted": "yellow"}
_LEFT = ("name", "kind", "state", "data", "model", "path", "reason", "started", "monitor")  # left-aligned columns
_DROPPED_FIRST = ("size", "data", "seconds", "model", "age")  # on a narrow terminal
_HEADINGS = {"seconds": "time"}


@dataclass(frozen=True)
class ListArguments:
    """The arguments of `dlexp runs`."""

    kind: str = "train"
    state: str | None = None
    model: str | None = None
    data: str | None = None
    where: tuple[str, ...] = ()
    since: str | None = None
    sort: str | None = None
    columns: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class PruneArguments:
    """The arguments of `dlexp runs prune`."""

    keep_best: int
    metric: str | None
    by: str
    where: tuple[str, ...]
    unfinished: bool
    dry_run: bool
    yes: bool


def list_runs(arguments: ListArguments, as_json: bool) -> None:
    """Print the table of runs and the directories that cannot be read."""
    kinds = _among("--kind", arguments.kind, ("all", *MARKS))
    found = workflow.find_runs(MARKS if kinds == ["all"] else kinds)
    rows = _filtered(found.rows, arguments)
    if arguments.sort:
        rows = workflow.sort_runs(rows, arguments.sort)
    columns = [key for key in (arguments.columns or "").split(",") if key]
    for key in columns:
        workflow.refuse_unknown("--columns", key, found.rows)
    more = len(rows) - (arguments.limit or len(rows))
    rows = rows[: arguments.limit or len(rows)]
    if as_json:
        listed = [{**row.as_dict(), **{key: _plain(row.value(key)) for key in columns}} for row in rows]
        _print_json({"runs": listed, "broken": _as_dicts(found.broken)})
        return
    chosen = columns or _usual_columns(rows, len(MARKS if kinds == ["all"] else kinds) > 1)
    if rows:
        _print_table(rows, ["name", *(key for key in chosen if key != "name")], fixed=bool(columns))
    elif found.rows:
        echo(f"none of the {len(found.rows)} runs in {outputs_root()} matches")
    elif not found.broken:
        echo(f"no runs in {outputs_root()} yet. Create one with dlexp train")
    if more > 0:
        echo(f"and {more} more; show all with --limit {len(rows) + more}")
    _name_broken(found.broken)


def _name_broken(broken: Sequence[tuple[Path, str]]) -> None:
    for path, why in broken:
        echo(styled(f"not a valid run: {path}: {why}", "yellow"))


def _as_dicts(broken: Sequence[tuple[Path, str]]) -> list[dict[str, str]]:
    return [{"path": str(path), "reason": why} for path, why in broken]


def refuse_before(command: str) -> None:
    """Raise ConfigError for options of the table before a subcommand, where they have no effect."""
    rule = "options before the subcommand have no effect"
    raise ConfigError.one(
        f"dlexp runs {command}", "", rule, f"Write them after it: dlexp runs {command} ...", code="no-effect"
    )


def show(name: str, as_json: bool) -> None:
    """Print one run, study, range test or group of seeds."""
    path = named_run(name)
    path = path.resolve() if path.is_symlink() else path
    if is_group(path):
        rows, broken = workflow.rows_of(members(path), "train")
        if as_json:
            _print_json({"group": str(path), "runs": [row.as_dict() for row in rows], "broken": _as_dicts(broken)})
        else:
            if rows:
                _print_table(rows, _usual_columns(rows, False), fixed=True)
            _name_broken(broken)
        return
    kind = next((kind for kind in reversed(MARKS) if is_file(path / MARKS[kind])), None)
    if kind is None:
        RunDir.find(path)  # raises an error
        raise AssertionError("a run directory has a config.yaml")
    row = workflow.read_row(path, kind)
    if as_json:
        config = dict(row.run.config) if row.run is not None else {}
        _print_json({**row.as_dict(), **_details(row), "config": config})
        return
    facts = {key: _cell(row, key) for key in row.facts} | {"size": _cell(row, "size")}
    facts |= {name: number(name, value) for name, value in row.metrics.items()}
    facts |= {
        name: ", ".join(value) if isinstance(value, list) else str(value) for name, value in _details(row).items()
    }
    width = max(map(len, facts))
    for name, text in facts.items():
        if text not in ("", "-"):
            echo(f"{name:<{width}}  {text}")


def rm(names: Sequence[str], yes: bool, as_json: bool) -> None:
    """Delete runs after confirmation."""
    from dlexp.workflows.runs.remove import plan_removal

    _carry_out(plan_removal([named_run(name) for name in names]), yes, dry_run=False, as_json=as_json)


def prune(arguments: PruneArguments, as_json: bool) -> None:
    """Delete all but the best runs of each group after confirmation."""
    from dlexp.workflows.runs.remove import plan_pruning

    by = [key for key in arguments.by.split(",") if key]
    plan = plan_pruning(arguments.keep_best, arguments.metric, by, arguments.where, unfinished=arguments.unfinished)
    _carry_out(plan, arguments.yes, dry_run=arguments.dry_run, as_json=as_json)


def _carry_out(plan: Any, yes: bool, *, dry_run: bool, as_json: bool) -> None:
    """Print a removal plan, ask for confirmation and carry it out."""
    from dlexp.workflows.runs.remove import remove

    content = {
        "removed": [] if dry_run else [str(planned.path) for planned in plan.going],
        "would_remove": [str(planned.path) for planned in plan.going] if dry_run else [],
        "kept": [{"path": str(kept.path), "why": kept.why} for kept in plan.kept],
        "bytes": plan.size,
    }
    say: Callable[[str], None] = (lambda text: None) if as_json else echo
    for kept in plan.kept:
        say(f"keep     {kept.path}: {kept.why}")
    for planned in plan.going:
        warning = styled(f"; {planned.warning}", "yellow") if planned.warning else ""
        say(f"delete   {planned.path}, {_bytes(planned.size)}{warning}")
    count = f"{len(plan.going)} director{'ies' if len(plan.going) != 1 else 'y'}, {_bytes(plan.size)}"
    if dry_run or not plan.going:
        say(f"{count} would be deleted; nothing was deleted" if plan.going else "nothing to delete")
    elif yes or _confirmed(f"Delete {count}?", as_json):
        freed = remove(plan)
        say(f"deleted  {count}")
        content["bytes"] = freed
    else:
        say("nothing was deleted")
        content["removed"] = []
    if as_json:
        _print_json(content)


def _confirmed(question: str, as_json: bool) -> bool:
    if as_json or not sys.stdin.isatty():
        raise ConfigError.one(
            "--yes", "", "cannot ask for confirmation without a terminal", "Add --yes.", code="missing-requirement"
        )
    return typer.confirm(question, default=False)


def _filtered(rows: Sequence[Row], arguments: ListArguments) -> list[Row]:
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
            from dlexp.config.check.suggest import nearest_name

            near = nearest_name(word, allowed)
            rule = f"must be one of {', '.join(allowed)}"
            raise ConfigError.one(option, word, rule, f"Did you mean {near}?" if near else "", code="unknown-value")
    return given


def _usual_columns(rows: Sequence[Row], several_kinds: bool) -> list[str]:
    kind = ["kind"] if several_kinds else []
    return ["name", *kind, "state", "age", "data", "model", *workflow.metric_columns(rows), "seconds", "size"]


def _print_table(rows: Sequence[Row], columns: Sequence[str], *, fixed: bool) -> None:
    """Print aligned columns; on a narrow terminal, the least important ones are dropped and named."""
    cells = {key: [_HEADINGS.get(key, key), *(_cell(row, key) for row in rows)] for key in columns}
    widths = {key: max(map(len, texts)) for key, texts in cells.items()}
    dropped = []
    if not fixed and sys.stdout.isatty():
        room = shutil.get_terminal_size().columns
        for key in _DROPPED_FIRST:
            if sum(widths.values()) + 2 * (len(widths) - 1) > room and key in widths:
                dropped.append(key)
                del widths[key]
    lines = []
    for line in range(len(rows) + 1):
        texts = [_padded(key, cells[key][line], width, line) for key, width in widths.items()]
        lines.append("  ".join(texts).rstrip())
    echo("\n".join(lines))
    if dropped:
        echo(f"terminal too narrow for {', '.join(dropped)}; select columns with --columns")


def _padded(key: str, text: str, width: int, line: int) -> str:
    padded = f"{text:<{width}}" if key in _LEFT else f"{text:>{width}}"
    if line == 0:
        return styled(padded, bold=True)
    return styled(padded, _COLORS[text]) if key == "state" and text in _COLORS else padded


def _cell(row: Row, key: str) -> str:
    """A value of a row as text."""
    value = row.value(key)
    if value is ABSENT or value is None:
        return "-"
    if key == "size":
        return _bytes(int(value))
    if key == "age":
        return ago(float(value))
    if key == "seconds":
        return spoken(float(value))
    if key == "epoch" and row.facts["epochs"]:
        return f"{value}/{row.facts['epochs']}"
    if key in row.metrics or key == "parameters":
        return number(key, value)
    return shown(value)


def _details(row: Row) -> dict[str, Any]:
    """Additional facts for `show`: command, options, notes, checkpoints and evaluations."""
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
    looks = {split: looks_at(path / "eval", split) for split in SPLITS}
    found["evaluated"] = [f"{split} {count}x" for split, count in looks.items() if count]
    return found


def _bytes(count: int) -> str:
    size, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:.0f} {units[0]}" if units[0] == "B" or size >= 100 else f"{size:.1f} {units[0]}"


def _plain(value: Any) -> Any:
    return None if value is ABSENT else value


def _print_json(value: Mapping[str, Any]) -> None:
    print_json(finite_or_none(value))
