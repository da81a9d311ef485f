"""The command `dlexp adapt`: adapts the normalization layers of a run to other data."""

from __future__ import annotations

from collections.abc import Sequence

from dlexp.cli import options as given
from dlexp.cli.argv import common_options
from dlexp.cli.style import print_json
from dlexp.errors import ConfigError

_FREE = ("name", "trainer.device", "trainer.precision", "trainer.threads")


def adapt(
    run: given.Run,
    overrides: given.AdaptationOverrides = None,
    run_dir: given.RunDirectory = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Adapt the normalization layers of a run to other data. No labels are used, no weights are trained (AdaBN)."""
    typed = tuple(overrides or ())
    if "=" in run:
        typed, run = (run, *typed), "latest"
    _refuse_other_overrides(typed)
    from dlexp.cli.commands.configuration import catalog_of, configuration, trusted_of

    common = common_options(config_dir, trust)
    config, all_overrides, changes = configuration(typed, run, catalog_of(common))
    trusted = trusted_of(common)
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.cli.views.results.adapt import show
    from dlexp.workflows import adapt as workflow
    from dlexp.workflows.train.train import Request

    request = Request(all_overrides, (common.command,), run_dir, trusted, tuple(changes or ()))
    content = workflow.adapt(RunDir.find(named_run(run)), config, request)
    if json:
        print_json(content)
    else:
        show(content)


def _refuse_other_overrides(overrides: Sequence[str]) -> None:
    from dlexp.text.nearest import nearest_name

    keys = [override.partition("=")[0].lstrip("+") for override in overrides]
    for key, override in zip(keys, overrides, strict=True):
        if key != "data" and not key.startswith("data.") and key not in _FREE:
            near = nearest_name(key, ("data", *_FREE))
            remedy = f"Did you mean {near}?" if near else f"Only data, {', '.join(_FREE)} can be overridden."
            raise ConfigError.one(
                key,
                override.partition("=")[2],
                "cannot be overridden when adapting a run",
                remedy,
                code="not-supported",
            )
    if not any(key == "data" or key.startswith("data.") for key in keys):
        raise ConfigError.one(
            "data",
            "",
            "is required",
            "Name the data to adapt to with data=OPTION or data.KEY=VALUE.",
            code="missing-value",
        )
