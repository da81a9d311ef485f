"""`dlexp replay`: the step that ended a run, once more, and whether it came out the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlexp.cli.console import escape, near, out, print_json
from dlexp.errors import ConfigError, NoResult


def replay(run: str, words: Sequence[str], trust: tuple[str, ...], as_json: bool) -> None:
    """Replay and show. Raises NoResult, once it is shown, when the step does not fail as it did."""
    changes = _changes(words)
    from dlexp.artifacts.runs.run_dir import named_run
    from dlexp.config.nodes import trusted_packages

    folder = named_run(run)
    if not folder.exists():
        raise ConfigError.one(
            run, "", "does not exist", "name a run directory, or a crash directory in one", code="not-found"
        )
    trusted = trusted_packages(trust)
    from dlexp.workflows.train.crash import replay as workflow

    content = workflow(folder, changes, trusted)
    if not as_json:
        _show(content)
    elif content["reproduced"]:
        print_json(content)
    if not content["reproduced"]:  # with --json the error is the one document
        raise NoResult(_difference(content))


def _show(content: Mapping[str, Any]) -> None:
    where, kept = content["where"], content["kept"]
    place = f"phase {where['phase']}, epoch {where['epoch']}, batch {where['batch']}, update {where['update']}"
    out.print(f"  capsule  {escape(near(content['capsule']))}\n  place    {escape(place)}")
    out.print(f"  error    {escape(_told(kept['error']))}\n  stage    {escape(kept['stage'])}")
    out.print(f"  losses   {escape(', '.join(kept['losses'])) or 'none was computed'}")
    for name, pair in content["differences"].items():
        out.print(f"  [yellow]{escape(name)} was {escape(str(pair['kept']))}, is {escape(str(pair['now']))}[/]")
    if content["reproduced"]:
        same = "the same losses in every bit, and the same error" if kept["losses"] else "the same error"
        out.print(f"\n[bold green]reproduced[/]: {same}")


def _difference(content: Mapping[str, Any]) -> str:
    """What came out otherwise, and what may be why."""
    kept, now = content["kept"], content["now"]
    parts = [
        f"{name} was {_told(kept[name])}, is {_told(now[name])}"
        for name in ("losses", "stage", "error")
        if kept[name] != now[name]
    ]
    reasons = [f"{name} {pair['kept']} -> {pair['now']}" for name, pair in content["differences"].items()]
    why = (
        f"; different here: {', '.join(reasons)}" if reasons else "; the surroundings are the same, so the code is not"
    )
    return f"not reproduced: {'; '.join(parts)}{why}"


def _told(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return f"{value['kind']}: {value['message'].splitlines()[0]}" if value["message"] else str(value["kind"])
    return ", ".join(value) if isinstance(value, list) else str(value)


def _changes(words: Sequence[str]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key != "trainer.device":
            rule = "is fixed by the step that is replayed; only trainer.device may change"
            raise ConfigError.one(key, value, rule, "drop it", code="not-supported")
        changes[key] = value
    return changes
