"""The command `dlexp replay`: repeats the failed step of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlexp.cli import options as given
from dlexp.cli.style import print_json
from dlexp.errors import ConfigError, NoResult


def replay(
    run: given.Run = "latest",
    overrides: given.ReplayOverrides = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Repeat the failed training step of a run. It is read from the crash capsule; the data set is not needed."""
    changes = _changes(overrides or ())
    from dlexp.artifacts.runs.run_dir import missing_run, named_run
    from dlexp.config.nodes import trusted_packages

    folder = named_run(run)
    if not folder.exists():
        rule, remedy = missing_run(run)
        raise ConfigError.one(run, "", rule, remedy, code="not-found")
    trusted = trusted_packages(tuple(trust or ()))
    from dlexp.cli.views.training.replay import difference, show
    from dlexp.workflows.train.crash import replay as workflow

    content = workflow(folder, changes, trusted)
    if not json:
        show(content)
    elif content["reproduced"]:
        print_json(content)
    if not content["reproduced"]:  # with --json, the error is the only document
        raise NoResult(difference(content))


def _changes(overrides: Sequence[str]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for override in overrides:
        key, _, value = override.partition("=")
        if key != "trainer.device":
            rule = "cannot be overridden in a replay; only trainer.device can"
            raise ConfigError.one(key, value, rule, "Remove it.", code="not-supported")
        changes[key] = value
    return changes
