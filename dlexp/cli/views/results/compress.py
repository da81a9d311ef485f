"""The output of `dlexp compress`: the table of before and after, the verdict, the files and the next command."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlexp.cli.console import escape, out, table
from dlexp.report.number_format import number
from dlexp.report.pages.compression import baseline_text, compression_rows, paired_text
from dlexp.text.quoting import command


def show(content: Mapping[str, Any]) -> None:
    """Print the result of one strength, or of several."""
    if "strengths" in content:
        _show_several(content)
        return
    if first := content.get("first_line"):
        out.print(f"[bold yellow]{escape(str(first))}[/]\n")
    rows = [list(row) for row in compression_rows(content)]
    out.print(
        table(f"{content['steps']}, {content['split']} split", ["", "before", "after", "change"], rows, numbers_from=1)
    )
    out.print(f"\n[bold]{escape(paired_text(content['metric']))}[/]")
    for note in content["notes"]:
        out.print(f"  [dim]{escape(note)}[/]")
    run = _short(content["run"])
    out.print(f"\n  run      {escape(run)}\n  table    {escape(run)}/compress.json")
    if "onnx_bytes" in content["after"]:
        out.print(f"\nnext: {escape(command('export', Path(run)))} copies the ONNX file")
    elif not content["epochs"]:
        again = command("train", "--resume", Path(run), "trainer.epochs=5")
        out.print(f"\nnext: train the compressed network with {escape(again)}")


def _show_several(content: Mapping[str, Any]) -> None:
    found: Sequence[Mapping[str, Any]] = content["strengths"]
    name = str(found[0]["metric"]["name"])
    rows = [["(the original)", number(name, found[0]["metric"]["before"]), "", *_costs(found[0]["before"])]]
    for each in found:
        metric = each["metric"]
        mark = "*" if each["steps"] in content["front"] else ""
        rows.append(
            [
                f"{each['steps']} {mark}".strip(),
                number(name, metric["after"]),
                _interval(metric),
                *_costs(each["after"]),
            ]
        )
    head = ["steps", name, "difference", "nonzero", "multiply-adds", "p50 ms"]
    if any("baseline" in each for each in found):
        head.append("baseline")
        rows = [[*row, text] for row, text in zip(rows, ["", *map(baseline_text, found)], strict=True)]
    out.print(table(str(content["source"]), head, rows, numbers_from=1))
    out.print("\n* no other strength is better in both the metric and the cost; intervals of 95 %")
    folder = _short(content["folder"])
    out.print(f"\n  runs     {escape(folder)}\n  picture  {escape(folder)}/pareto.png")


def _interval(metric: Mapping[str, Any]) -> str:
    found = metric.get("difference")
    if not found:
        return ""
    scale = metric["scale"]
    return f"{scale * found['value']:+.3g} [{scale * found['low']:.3g}, {scale * found['high']:.3g}]"


def _costs(facts: Mapping[str, Any]) -> list[str]:
    time = facts.get("latency")
    return [f"{facts['nonzero_parameters']:,}", f"{facts['multiply_adds']:,}", f"{time['p50_ms']:.3g}" if time else ""]


def _short(path: str) -> str:
    short = os.path.relpath(path)
    return path if short.startswith("..") else short
