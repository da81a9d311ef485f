"""The output of `dlexp profile`: the parts of an update, its operators and the cost of the run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from dlexp.cli.console import escape, out, table, undrawn
from dlexp.findings import counted
from dlexp.report.number_format import percent
from dlexp.text.time_format import spoken

_BAR = 24  # characters of a whole update
_NAME = 34  # and of an operator, so that a line has at most 80
_SHOWN = 8
_KIB, _MIB, _GIB = 2.0**10, 2.0**20, 2.0**30


def show(title: str, content: Mapping[str, Any]) -> None:
    """Print the parts of an update, the slowest operators, the speed and the memory."""
    out.print()
    out.print(_parts(title, content))
    out.print()
    out.print(_operators(content))
    out.print()
    for label, text in _lines(content):
        out.print(f"  {label:<12} {escape(text)}")
    folder = escape(min(os.path.relpath(content["folder"]), content["folder"], key=len))
    undrawn(content)
    picture = "" if "undrawn" in content else f"  figure   {folder}/profile.png\n"
    out.print(f"\n{picture}  trace    {folder}/trace.json.gz\n  numbers  {folder}/profile.json")


def _parts(title: str, content: Mapping[str, Any]) -> Table:
    rows = [
        [part, milliseconds(found["seconds"]), f"{percent(found['share'], 1)} %", "#" * round(_BAR * found["share"])]
        for part, found in content["parts"].items()
    ]
    made = table(title, ["part", "time", "share", ""], [*rows, ["update", milliseconds(_timed(content)), "", ""]])
    made.columns[-1].justify = "left"
    return made


def _operators(content: Mapping[str, Any]) -> Table:
    """The operators with the largest own time."""
    kind = "GPU" if content["operators_on"] == "device" else "CPU"
    key = f"self_{content['operators_on']}_seconds"
    rows = [
        [one["name"][:_NAME], f"{one['calls']:.0f}", milliseconds(one[key]), f"{percent(one['share'], 1)} %"]
        for one in content["operators"][:_SHOWN]
    ]
    return table("", ["operator", "calls", f"own {kind} time", "share"], rows)


def _lines(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Label -> text, in lines of at most 80 characters."""
    update, run, memory = content["update"], content["run"], content["memory"]
    spread = update["spread"]
    yield (
        "speed",
        f"{update['samples_per_s']:,.0f} samples/s, {milliseconds(update['seconds'])} per update",
    )
    between = f"{milliseconds(spread['p10'])} to {milliseconds(spread['p90'])}"
    yield "", f"(without profiler; 10th to 90th percentile {between})"
    yield "", f"first update {milliseconds(update['first_seconds'])}"
    yield from _arithmetic(content["arithmetic"], content["precision"])
    yield "memory", f"weights {size(memory['weights'])}, gradients {size(memory['gradients'])},"
    yield "", f"optimizer {size(memory['optimizer_state'])}, saved for backward {size(memory['kept_for_backward'])}"
    for part, most in memory.get("peak_allocated", {}).items():
        yield "", f"at most {size(most)} allocated in {part}"
    if "peak_reserved" in memory:
        yield "", f"peak GPU memory {size(memory['peak_reserved'])} of {size(memory['device_total'])}"
    yield "", f"peak memory of the process {size(memory['peak_resident'])}"
    times = f"{spoken(run['training_seconds'])} of training, {spoken(run['validation_seconds'])} of validation"
    yield "whole run", f"{counted(run['epochs'], 'epoch')}: {times}"
    yield "checkpoints", f"{size(run['checkpoint_bytes'])} on disk"


def _arithmetic(found: Mapping[str, Any], precision: str) -> Iterator[tuple[str, str]]:
    machine = f"{found['matrix_flops_per_s'] / 1e9:,.0f} GFLOP/s"
    if found["fraction"] is None:
        yield "arithmetic", f"no countable operations; large {precision} matrix products reach {machine}"
    else:
        yield (
            "arithmetic",
            f"{found['flops_per_s'] / 1e9:,.1f} GFLOP/s, {percent(found['fraction'], 1)} % of the {machine}",
        )
        yield "", f"that large {precision} matrix products reach on this machine"


def _timed(content: Mapping[str, Any]) -> float:
    """Seconds per update, measured part by part."""
    return float(sum(found["seconds"] for found in content["parts"].values()))


def milliseconds(seconds: float) -> str:
    """A time in milliseconds, as text."""
    value = 1e3 * seconds
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"


def size(count: int) -> str:
    """A number of bytes as text."""
    for unit, name in ((_GIB, "GiB"), (_MIB, "MiB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}" if count < 100 * unit else f"{count / unit:,.0f} {name}"
    return f"{count / _KIB:.3g} KiB"
