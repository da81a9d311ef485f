"""The command `dlexp lr-find`: runs the learning-rate range test and prints its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlexp.cli.argv import CommonOptions
from dlexp.cli.console import escape, out, print_json, short_path, table, undrawn
from dlexp.config.files.catalog import Catalog
from dlexp.errors import NoResult
from dlexp.workflows.lr_find.settings import SweepSettings


@dataclass(frozen=True)
class FindArguments:
    """The arguments of `dlexp lr-find`, without the settings of the range test."""

    overrides: tuple[str, ...]
    run_dir: Path | None
    apply: bool


def lr_find(
    arguments: FindArguments, settings: SweepSettings, common: CommonOptions, quiet: bool, as_json: bool
) -> None:
    """Run the range test and print its result. Raises NoResult, after printing, if the confidence is low."""
    from dlexp.config.compose import load
    from dlexp.config.nodes import trusted_packages

    settings.check()
    config = load(arguments.overrides, Catalog(common.config_dirs))
    trusted = trusted_packages(common.trust)
    from dlexp.cli.views.training import reporter
    from dlexp.workflows.lr_find import lr_find as workflow
    from dlexp.workflows.lr_find.result import FindRequest, why_none

    request = FindRequest(
        arguments.overrides, common.command, arguments.run_dir, trusted, common.config_dirs, apply=arguments.apply
    )
    content = workflow.lr_find(config, settings, request, reporter(quiet))
    is_low = content["suggestion"] is None
    if not as_json:
        _show(content)
    elif not is_low:
        print_json(content)
    if is_low:  # with --json, the error is the only document
        where = "" if "undrawn" in content else f". The curve is in {short_path(content['run'])}/lr_find.png"
        raise NoResult(f"{why_none(content)}{where}")


def _show(content: Mapping[str, Any]) -> None:
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
