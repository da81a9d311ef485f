"""`dlexp runs`: the table of what was run, one of them, taking them away. Plain text, no library is loaded for it."""

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

_COLOURS = {"running": "cyan", "finished": "green", "failed": "red", "died": "red", "interrupted": "yellow"}
_LEFT = ("name", "kind", "state", "data", "model", "path", "reason", "started", "monitor")  # aligned words
_FIRST_TO_GO = ("size", "data", "seconds", "model", "age")  # where a terminal is narrow
_HEADINGS = {"seconds": "time"}


@dataclass(frozen=True)
class ListWords:
    """The words of `dlexp runs`."""

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
class PruneWords:
    """The words of `dlexp runs prune`."""

    keep_best: int
    metric: str | None
    by: str
    where: tuple[str, ...]
    unfinished: bool
    dry_run: bool
    yes: bool


def list_runs(words: ListWords, as_json: bool) -> None:
    """Show the table, and name what is broken."""
    kinds = _among("--kind", words.kind, ("all", *MARKS))
    found = workflow.find(MARKS if kinds == ["all"] else kinds)
    rows = _filtered(found.rows, words)
    if words.sort:
        rows = workflow.ordered(rows, words.sort)
    columns = [key for key in (words.columns or "").split(",") if key]
    for key in columns:
        workflow.refuse_unknown("--columns", key, found.rows)
    more = len(rows) - (words.limit or len(rows))
    rows = rows[: words.limit or len(rows)]
    if as_json:
        asked = [{**row.as_dict(), **{key: _plain(row.value(key)) for key in columns}} for row in rows]
        _print_json({"runs": asked, "broken": _as_dicts(found.broken)})
        return
    chosen = columns or _usual_columns(rows, len(MARKS if kinds == ["all"] else kinds) > 1)
    if rows:
        _print_table(rows, ["name", *(key for key in chosen if key != "name")], fixed=bool(columns))
    elif found.rows:
        echo(f"none of the {len(found.rows)} runs under {outputs_root()} is like that")
    elif not found.broken:
        echo(f"there is nothing under {outputs_root()} yet; dlexp train makes a run")
    if more > 0:
        echo(f"and {more} more; --limit {len(rows) + more} shows them")
    _name_broken(found.broken)


def _name_broken(broken: Sequence[tuple[Path, str]]) -> None:
    for path, why in broken:
        echo(styled(f"no whole run: {path}: {why}", "yellow"))


def _as_dicts(broken: Sequence[tuple[Path, str]]) -> list[dict[str, str]]:
    return [{"path": str(path), "reason": why} for path, why in broken]


def refuse_before(command: str) -> None:
    """Raise ConfigError: options of the table that stand before another command would do nothing."""
    rule = "options before it choose lines of the table, and do nothing here"
    raise ConfigError.one(
        f"dlexp runs {command}", "", rule, f"write them behind: dlexp runs {command} ...", code="no-effect"
    )


def show(name: str, as_json: bool) -> None:
    """What is known of one run, study, sweep or group."""
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
        RunDir.find(path)  # says what is wrong
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
    """Delete runs, once it is confirmed."""
    from dlexp.workflows.runs.remove import plan_removal

    _carry_out(plan_removal([named_run(name) for name in names]), yes, dry_run=False, as_json=as_json)


def prune(words: PruneWords, as_json: bool) -> None:
    """Delete all but the best runs of each kind, once it is confirmed."""
    from dlexp.workflows.runs.remove import plan_pruning

    by = [key for key in words.by.split(",") if key]
    plan = plan_pruning(words.keep_best, words.metric, by, words.where, unfinished=words.unfinished)
    _carry_out(plan, words.yes, dry_run=words.dry_run, as_json=as_json)


def _carry_out(plan: Any, yes: bool, *, dry_run: bool, as_json: bool) -> None:
    """Show a plan, ask, and do it."""
    from dlexp.workflows.runs.remove import remove

    content = {
        "removed": [] if dry_run else [str(planned.path) for planned in plan.going],
        "would_remove": [str(planned.path) for planned in plan.going] if dry_run else [],
        "kept": [{"path": str(kept.path), "why": kept.why} for kept in plan.kept],
        "bytes": plan.size,
    }
    say: Callable[[str], None] = (lambda text: None) if as_json else echo
    for kept in plan.kept:
        say(f"stays    {kept.path}: {kept.why}")
    for planned in plan.going:
        warning = styled(f"; {planned.warning}", "yellow") if planned.warning else ""
        say(f"goes     {planned.path}, {_bytes(planned.size)}{warning}")
    count = f"{len(plan.going)} director{'ies' if len(plan.going) != 1 else 'y'}, {_bytes(plan.size)}"
    if dry_run or not plan.going:
        say(f"{count} would go; nothing was removed" if plan.going else "there is nothing to remove")
    elif yes or _confirmed(f"Delete {count}?", as_json):
        freed = remove(plan)
        say(f"removed  {count}")
        content["bytes"] = freed
    else:
        say("nothing was removed")
        content["removed"] = []
    if as_json:
        _print_json(content)


def _confirmed(question: str, as_json: bool) -> bool:
    if as_json or not sys.stdin.isatty():
        raise ConfigError.one(
            "--yes", "", "nobody can be asked here, and deleting needs a word", "add --yes", code="missing-requirement"
        )
    return typer.confirm(question, default=False)


def _filtered(rows: Sequence[Row], words: ListWords) -> list[Row]:
    kept = list(rows)
    if words.state:
        states = _among("--state", words.state, workflow.STATES)
        kept = [row for row in kept if row.facts["state"] in states]
    conditions = [f"{key}={value}" for key, value in (("model", words.model), ("data", words.data)) if value]
    if words.since:
        kept = workflow.since(kept, words.since)
    return workflow.where(kept, [*conditions, *words.where])


def _among(option: str, text: str, allowed: Sequence[str]) -> list[str]:
    """The words of a list with commas. Raises ConfigError, with the nearest, for one that is not among `allowed`."""
    given = [word.strip() for word in text.split(",")]
    for word in given:
        if word not in allowed:
            from dlexp.config.check.suggest import nearest

            near = nearest(word, allowed)
            rule = f"is not one of {', '.join(allowed)}"
            raise ConfigError.one(option, word, rule, f"did you mean {near}?" if near else "", code="unknown-value")
    return given


def _usual_columns(rows: Sequence[Row], several_kinds: bool) -> list[str]:
    kind = ["kind"] if several_kinds else []
    return ["name", *kind, "state", "age", "data", "model", *workflow.metric_columns(rows), "seconds", "size"]


def _print_table(rows: Sequence[Row], columns: Sequence[str], *, fixed: bool) -> None:
    """Aligned columns; those that matter least are left out, and named, where a terminal is too narrow for all."""
    cells = {key: [_HEADINGS.get(key, key), *(_cell(row, key) for row in rows)] for key in columns}
    widths = {key: max(map(len, texts)) for key, texts in cells.items()}
    dropped = []
    if not fixed and sys.stdout.isatty():
        room = shutil.get_terminal_size().columns
        for key in _FIRST_TO_GO:
            if sum(widths.values()) + 2 * (len(widths) - 1) > room and key in widths:
                dropped.append(key)
                del widths[key]
    lines = []
    for line in range(len(rows) + 1):
        texts = [_padded(key, cells[key][line], width, line) for key, width in widths.items()]
        lines.append("  ".join(texts).rstrip())
    echo("\n".join(lines))
    if dropped:
        echo(f"too narrow for {', '.join(dropped)}; --columns chooses")


def _padded(key: str, text: str, width: int, line: int) -> str:
    padded = f"{text:<{width}}" if key in _LEFT else f"{text:>{width}}"
    if line == 0:
        return styled(padded, bold=True)
    return styled(padded, _COLOURS[text]) if key == "state" and text in _COLOURS else padded


def _cell(row: Row, key: str) -> str:
    """A value for people."""
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
    """What only `show` tells: the command, the words, what was evaluated, what was changed on the way."""
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
