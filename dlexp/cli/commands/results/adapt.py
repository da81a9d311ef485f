"""`dlexp adapt`: words to an adaptation, and what it changed to something to read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlexp.cli.argv import Setting
from dlexp.cli.commands.configuration import configuration, trusted_of
from dlexp.cli.console import escape, out, print_json, table
from dlexp.config.check.suggest import nearest
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError
from dlexp.report.number_format import number
from dlexp.text.quoting import command

_FREE = ("name", "trainer.device", "trainer.precision", "trainer.threads")


def adapt(run: str, words: Sequence[str], run_dir: Path | None, setting: Setting, as_json: bool) -> None:
    """Adapt and show. Raises ConfigError for words that are not about data, and where no data is named."""
    if "=" in run:
        words, run = (run, *words), "latest"
    _refuse_other_words(words)
    config, typed, changes = configuration(tuple(words), run, Catalog(setting.config_dirs))
    trusted = trusted_of(setting)
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.workflows import adapt as workflow
    from dlexp.workflows.train.train import Request

    request = Request(typed, (setting.command,), run_dir, trusted, tuple(changes or ()))
    content = workflow.adapt(RunDir.find(named_run(run)), config, request)
    if as_json:
        print_json(content)
    else:
        _show(content)


def _refuse_other_words(words: Sequence[str]) -> None:
    keys = [word.partition("=")[0].lstrip("+") for word in words]
    for key, word in zip(keys, words, strict=True):
        if key != "data" and not key.startswith("data.") and key not in _FREE:
            near = nearest(key, ("data", *_FREE))
            remedy = f"did you mean {near}?" if near else f"it may change data and {', '.join(_FREE)}"
            raise ConfigError.one(
                key, word.partition("=")[2], "is fixed by the run that is adapted", remedy, code="not-supported"
            )
    if not any(key == "data" or key.startswith("data.") for key in keys):
        raise ConfigError.one(
            "data",
            "",
            "is what a run is adapted to, and none was named",
            "add data=... or data.KEY=",
            code="missing-value",
        )


def _show(content: Mapping[str, Any]) -> None:
    before, after = content["val"]["before"], content["val"]["after"]
    rows = [[f"val/{name}", number(name, before[name]), number(name, after[name])] for name in after]
    out.print(table("validation split of the other data", ["metric", "before", "after"], rows))
    run = os.path.relpath(content["run"])
    run = content["run"] if run.startswith("..") else run
    out.print(
        f"\n{escape(content['reason'])}\n\n  run      {escape(run)}\n  weights  {escape(run)}/checkpoints/best.pt"
    )
    out.print(f"\nnext: {escape(command('evaluate', Path(run)))}")
