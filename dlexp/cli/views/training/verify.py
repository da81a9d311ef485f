"""The output of `dlexp verify`: the verdict, and the first difference."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dlexp.cli.console import escape, out, table
from dlexp.findings import counted


def show(content: Mapping[str, Any], command: str) -> None:
    """Print a row for each check, and the verdict; `command` is the command line as typed."""
    title = (
        f"{content['model']} on {content['data']}, {counted(content['epochs'], 'epoch')}, "
        f"{counted(content['updates'], 'update')}, {content['device']}, {content['precision']}"
    )
    rows = [[check["place"], _saved_at(check["saved_at"]), _result(check)] for check in content["checks"]]
    header = ["stopped", "saved at", "resumed run"]
    if content["determinism"]:
        rows, header = [[place, result] for place, _, result in rows], ["run", "compared with the first"]
    out.print(table(title, header, rows, numbers_from=9))
    for text in content["left_out"]:
        out.print(f"[yellow]skipped[/]: {escape(text)}")
    folder = escape(min(os.path.relpath(content["folder"]), content["folder"], key=len))
    if content["equal"]:
        size = content["compared"]
        out.print(
            f"\n[bold green]bit-identical[/]: {size['tensors']:,} tensors with {size['numbers']:,} numbers, "
            f"{size['values']:,} other values and {counted(size['rows'], 'row')} of metrics.csv"
        )
    else:
        _show_difference(content, folder, command)
    out.print(f"\n  verdict  {folder}/verify.json")


def _show_difference(content: Mapping[str, Any], folder: str, command: str) -> None:
    """Print the first difference, the directories to inspect and the next command."""
    check = next(check for check in content["checks"] if not check["equal"])
    first = check["first_tensor"] or "{where}: {what}".format_map(check["differences"][0])
    out.print(f"\n[bold red]different[/] ({escape(check['place'])}): {escape(first)}")
    out.print(f"\n  kept     {folder}/whole and {folder}/{check['place'].replace(' ', '-')}")
    if not content["determinism"]:
        out.print(f"  next: check whether the run is deterministic with {escape(command)} --determinism")
    elif not content["deterministic"]:
        out.print("  next: repeat with deterministic=true")


def _saved_at(position: Mapping[str, int] | None) -> str:
    if position is None:
        return "before the first checkpoint"
    if position["batch"]:
        return f"update {position['step']}: epoch {position['epoch'] + 1}, batch {position['batch']}"
    return f"update {position['step']}: end of epoch {position['epoch']}"


def _result(check: Mapping[str, Any]) -> str:
    count = check["num_differences"]
    return "bit-identical" if check["equal"] else f"{count:,} difference{'s' if count > 1 else ''}"
