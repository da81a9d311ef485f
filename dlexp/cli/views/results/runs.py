"""The output of `dlexp runs`: tables and facts as plain text, without importing rich."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlexp.artifacts.runs.run_dir import outputs_root
from dlexp.cli.style import echo, styled
from dlexp.config.schema.tree import ABSENT, shown
from dlexp.report.number_format import number
from dlexp.text.time_format import ago, spoken
from dlexp.workflows.runs.query import Row, RunList, metric_columns

if TYPE_CHECKING:
    from dlexp.workflows.runs.remove import Plan

_COLORS = {"running": "cyan", "finished": "green", "failed": "red", "died": "red", "interrupted": "yellow"}
_LEFT = ("name", "kind", "state", "data", "model", "path", "reason", "started", "monitor")  # left-aligned columns
_DROPPED_FIRST = ("size", "data", "seconds", "model", "age")  # on a narrow terminal
_HEADINGS = {"seconds": "time"}


def listing(found: RunList, rows: Sequence[Row], columns: Sequence[str], *, several_kinds: bool, hidden: int) -> None:
    """Print the table of runs and the directories that cannot be read.

    Args:
        found: All runs.
        rows: The runs to print.
        columns: The columns to print; the usual ones if empty.
        several_kinds: Whether the usual columns include the kind.
        hidden: Number of runs that `--limit` leaves out.
    """
    chosen = columns or _usual_columns(rows, several_kinds)
    if rows:
        _print_table(rows, ["name", *(key for key in chosen if key != "name")], fixed=bool(columns))
    elif found.rows:
        echo(f"none of the {len(found.rows)} runs in {outputs_root()} matches")
    elif not found.broken:
        echo(f"no runs in {outputs_root()} yet. Create one with dlexp train")
    if hidden > 0:
        echo(f"and {hidden} more; show all with --limit {len(rows) + hidden}")
    _name_broken(found.broken)


def group(rows: Sequence[Row], broken: Sequence[tuple[Path, str]]) -> None:
    """Print the table of a group of seeds."""
    if rows:
        _print_table(rows, _usual_columns(rows, False), fixed=True)
    _name_broken(broken)


def one(row: Row, details: Mapping[str, Any]) -> None:
    """Print the facts of one run, a line each."""
    facts = {key: _cell(row, key) for key in row.facts} | {"size": _cell(row, "size")}
    facts |= {name: number(name, value) for name, value in row.metrics.items()}
    facts |= {name: ", ".join(value) if isinstance(value, list) else str(value) for name, value in details.items()}
    width = max(map(len, facts))
    for name, text in facts.items():
        if text not in ("", "-"):
            echo(f"{name:<{width}}  {text}")


def removal(plan: Plan) -> None:
    """Print the directories that a plan keeps and deletes."""
    for kept in plan.kept:
        echo(f"keep     {kept.path}: {kept.why}")
    for planned in plan.going:
        warning = styled(f"; {planned.warning}", "yellow") if planned.warning else ""
        echo(f"delete   {planned.path}, {_bytes(planned.size)}{warning}")


def deletion_summary(plan: Plan) -> str:
    """The number of directories to delete, and their size."""
    return f"{len(plan.going)} director{'ies' if len(plan.going) != 1 else 'y'}, {_bytes(plan.size)}"


def would_remove(plan: Plan) -> None:
    """Print what a dry run, or a plan without anything to delete, comes to."""
    echo(f"{deletion_summary(plan)} would be deleted; nothing was deleted" if plan.going else "nothing to delete")


def removed(plan: Plan | None) -> None:
    """Print what was deleted; None if the user has declined."""
    echo("nothing was deleted" if plan is None else f"deleted  {deletion_summary(plan)}")


def _name_broken(broken: Sequence[tuple[Path, str]]) -> None:
    for path, why in broken:
        echo(styled(f"not a valid run: {path}: {why}", "yellow"))


def _usual_columns(rows: Sequence[Row], several_kinds: bool) -> list[str]:
    kind = ["kind"] if several_kinds else []
    return ["name", *kind, "state", "age", "data", "model", *metric_columns(rows), "seconds", "size"]


def _print_table(rows: Sequence[Row], columns: Sequence[str], *, fixed: bool) -> None:
    """Print aligned columns; on a narrow terminal, the least important ones are dropped and named."""
    cells = {key: [_HEADINGS.get(key, key), *(_cell(row, key) for row in rows)] for key in columns}
    widths = {key: max(map(len, texts)) for key, texts in cells.items()}
    dropped = []
    if not fixed and sys.stdout.isatty():
        room = shutil.get_terminal_size().columns
        rest = [key for key in reversed(columns) if key not in ("name", "state", *_DROPPED_FIRST)]
        for key in (*_DROPPED_FIRST, *rest):
            if sum(widths.values()) + 2 * (len(widths) - 1) > room and key in widths:
                dropped.append(key)
                del widths[key]
    lines = []
    for line in range(len(rows) + 1):
        texts = [_padded(key, cells[key][line], width, line) for key, width in widths.items()]
        lines.append("  ".join(texts).rstrip())
    echo("\n".join(lines))
    if dropped:
        note = f"terminal too narrow for {', '.join(dropped)}; select columns with --columns"
        echo(textwrap.fill(note, shutil.get_terminal_size().columns, break_long_words=False, break_on_hyphens=False))


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


def _bytes(count: int) -> str:
    size, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:.0f} {units[0]}" if units[0] == "B" or size >= 100 else f"{size:.1f} {units[0]}"
