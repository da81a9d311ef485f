"""The output of `dlexp replay`: the failed step, and whether the failure was reproduced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlexp.cli.console import escape, out
from dlexp.cli.style import short_path


def show(content: Mapping[str, Any]) -> None:
    """Print where and how the step failed, and whether it failed again."""
    where, kept = content["where"], content["kept"]
    place = f"phase {where['phase']}, epoch {where['epoch']}, batch {where['batch']}, update {where['update']}"
    out.print(f"  capsule  {escape(short_path(content['capsule']))}\n  place    {escape(place)}")
    out.print(f"  error    {escape(_as_text(kept['error']))}\n  stage    {escape(kept['stage'])}")
    out.print(f"  losses   {escape(', '.join(kept['losses'])) or 'none'}")
    for name, pair in content["differences"].items():
        out.print(f"  [yellow]{escape(name)} was {escape(str(pair['kept']))}, is {escape(str(pair['now']))}[/]")
    if content["reproduced"]:
        same = "bit-identical losses and the same error" if kept["losses"] else "the same error"
        out.print(f"\n[bold green]reproduced[/]: {same}")


def difference(content: Mapping[str, Any]) -> str:
    """The differences from the original failure and their possible causes."""
    kept, now = content["kept"], content["now"]
    parts = [
        f"{name} was {_as_text(kept[name])}, is {_as_text(now[name])}"
        for name in ("losses", "stage", "error")
        if kept[name] != now[name]
    ]
    reasons = [f"{name} {pair['kept']} -> {pair['now']}" for name, pair in content["differences"].items()]
    why = (
        f". The environment differs: {', '.join(reasons)}"
        if reasons
        else ". The environment is the same, so the code differs"
    )
    return f"not reproduced: {'; '.join(parts)}{why}"


def _as_text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return f"{value['kind']}: {value['message'].splitlines()[0]}" if value["message"] else str(value["kind"])
    return ", ".join(value) if isinstance(value, list) else str(value)
