"""The output of `dlexp lr-find`: the numbers of the curve and the suggestion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlexp.cli.console import escape, out, table, undrawn
from dlexp.cli.style import short_path


def show(content: Mapping[str, Any]) -> None:
    """Print the numbers of the curve, the files and the next command."""
    low, high = content["range"]
    (least, most), others = content["interval"], content["rules"]
    steepest = _rate(content["steepest"])
    rows = [
        ["steepest descent", steepest, "of the smoothed loss, below the rate of its minimum"],
        ["range", f"{low:g} .. {high:g}", "from the start of the descent to a tenth of the rate of the minimum"],
        ["interval", f"{least:g} .. {most:g}", _interval_text(content)],
        ["drop / noise", f"{content['drop_to_noise']:g}", f"confidence {content['confidence']}; must be at least 3"],
    ]
    if len(set(content["groups"].values())) > 1:
        rows += [[f"group {name}", _rate(rate), "at a fixed ratio to the first"] for name, rate in _groups(content)]
    rows += [[f"rule {name}", _rate(rate), "for comparison"] for name, rate in others.items()]
    out.print()
    out.print(table("", ["", "", ""], rows, numbers_from=9))
    for one in content["sweeps"]:
        skipped = f", {one['skipped']} updates skipped by the fp16 scaler" if one["skipped"] else ""
        steepest = f", steepest {_rate(one['steepest'])}" if len(content["sweeps"]) > 1 else ""
        out.print(f"seed {one['seed']}: {one['points']} points, {escape(one['stopped'])}{steepest}{skipped}")
    if content["advice"] and content["suggestion"] is not None:
        out.print(f"[yellow]{escape(content['advice'])}[/]")
    run = escape(short_path(content["run"]))
    undrawn(content)
    curve = "" if "undrawn" in content else f"  curve    {run}/lr_find.png\n"
    out.print(f"\n{curve}  numbers  {run}/lr_find.csv, lr_find.json")
    for path in content.get("written", ()):
        out.print(f"  written  {escape(short_path(path))}")
    if content["suggestion"] is not None:
        out.print(f"\n[bold]{escape(content['override'])}[/]\n\nnext: {escape(content['train'])}")


def _groups(content: Mapping[str, Any]) -> list[tuple[str, float | None]]:
    return list(content["groups"].items())


def _interval_text(content: Mapping[str, Any]) -> str:
    if len(content["sweeps"]) > 1:
        return "minimum and maximum over the seeds"
    return "uncertainty of the steepest point due to noise (5 % to 95 %)"


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.3g}"
