"""The command `dlexp adapt`: runs the adaptation and prints its result."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlexp.cli.argv import CommonOptions
from dlexp.cli.commands.configuration import configuration, trusted_of
from dlexp.cli.console import escape, out, print_json, table
from dlexp.config.check.suggest import nearest_name
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError
from dlexp.report.number_format import number
from dlexp.text.quoting import command

_FREE = ("name", "trainer.device", "trainer.precision", "trainer.threads")


def adapt(run: str, overrides: Sequence[str], run_dir: Path | None, common: CommonOptions, as_json: bool) -> None:
    """Adapt a run to other data and print the result.

    Raises:
        ConfigError: An override changes something other than the data, or no data is named.
    """
    if "=" in run:
        overrides, run = (run, *overrides), "latest"
    _refuse_other_overrides(overrides)
    config, typed, changes = configuration(tuple(overrides), run, Catalog(common.config_dirs))
    trusted = trusted_of(common)
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.workflows import adapt as workflow
    from dlexp.workflows.train.train import Request

    request = Request(typed, (common.command,), run_dir, trusted, tuple(changes or ()))
    content = workflow.adapt(RunDir.find(named_run(run)), config, request)
    if as_json:
        print_json(content)
    else:
        _show(content)


def _refuse_other_overrides(overrides: Sequence[str]) -> None:
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


def _show(content: Mapping[str, Any]) -> None:
    before, after = content["val"]["before"], content["val"]["after"]
    rows = [[f"val/{name}", number(name, before[name]), number(name, after[name])] for name in after]
    out.print(table("validation split of the target data", ["metric", "before", "after"], rows))
    run = os.path.relpath(content["run"])
    run = content["run"] if run.startswith("..") else run
    out.print(
        f"\n{escape(content['reason'])}\n\n  run      {escape(run)}\n  weights  {escape(run)}/checkpoints/best.pt"
    )
    out.print(f"\nnext: {escape(command('evaluate', Path(run)))}")
