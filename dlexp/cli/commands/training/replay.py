"""The command `dlexp replay`: repeats the failed step of a run and prints whether the failure was reproduced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlexp.cli.console import escape, out, print_json, short_path
from dlexp.errors import ConfigError, NoResult


def replay(run: str, overrides: Sequence[str], trust: tuple[str, ...], as_json: bool) -> None:
    """Replay the step and print the result. Raises NoResult, after printing, if the failure is not reproduced."""
    changes = _changes(overrides)
    from dlexp.artifacts.runs.run_dir import named_run
    from dlexp.config.nodes import trusted_packages

    folder = named_run(run)
    if not folder.exists():
        raise ConfigError.one(
            run, "", "not found", "Name a run directory or a crash directory in it.", code="not-found"
        )
    trusted = trusted_packages(trust)
    from dlexp.workflows.train.crash import replay as workflow

    content = workflow(folder, changes, trusted)
    if not as_json:
        _show(content)
    elif content["reproduced"]:
        print_json(content)
    if not content["reproduced"]:  # with --json, the error is the only document
        raise NoResult(_difference(content))


def _show(content: Mapping[str, Any]) -> None:
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


def _difference(content: Mapping[str, Any]) -> str:
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


def _changes(overrides: Sequence[str]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for override in overrides:
        key, _, value = override.partition("=")
        if key != "trainer.device":
            rule = "cannot be overridden in a replay; only trainer.device can"
            raise ConfigError.one(key, value, rule, "Remove it.", code="not-supported")
        changes[key] = value
    return changes
