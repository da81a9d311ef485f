"""`dlexp lr-find`: words to a sweep, and its findings to something to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlexp.cli.argv import Setting
from dlexp.cli.console import escape, near, out, print_json, table, undrawn
from dlexp.config.files.catalog import Catalog
from dlexp.errors import NoResult
from dlexp.workflows.lr_find.settings import SweepSettings


@dataclass(frozen=True)
class FindWords:
    """The words of `dlexp lr-find` beside the settings of the sweep."""

    overrides: tuple[str, ...]
    run_dir: Path | None
    apply: bool


def lr_find(words: FindWords, settings: SweepSettings, setting: Setting, quiet: bool, as_json: bool) -> None:
    """Sweep and show what came out. Raises NoResult, once it is shown, when the confidence is low."""
    from dlexp.config.compose import load
    from dlexp.config.nodes import trusted_packages

    settings.check()
    config = load(words.overrides, Catalog(setting.config_dirs))
    trusted = trusted_packages(setting.trust)
    from dlexp.cli.views.training import reporter
    from dlexp.workflows.lr_find import lr_find as workflow
    from dlexp.workflows.lr_find.result import FindRequest, why_none

    request = FindRequest(
        words.overrides, setting.command, words.run_dir, trusted, setting.config_dirs, apply=words.apply
    )
    content = workflow.lr_find(config, settings, request, reporter(quiet))
    is_low = content["suggestion"] is None
    if not as_json:
        _show(content)
    elif not is_low:
        print_json(content)
    if is_low:  # with --json the error is the one document, and it names the folder
        where = "" if "undrawn" in content else f"; the curve is {near(content['run'])}/lr_find.png"
        raise NoResult(f"{why_none(content)}{where}")


def _show(content: Mapping[str, Any]) -> None:
    """The curve in numbers, the files and the line to type."""
    low, high = content["range"]
    (least, most), others = content["interval"], content["rules"]
    steepest = _rate(content["steepest"])
    rows = [
        ["steepest descent", steepest, "of the smoothed loss, left of its minimum"],
        ["range", f"{low:g} .. {high:g}", "from the start of the descent to a tenth of the minimum's rate"],
        ["interval", f"{least:g} .. {most:g}", _interval_text(content)],
        ["drop / noise", f"{content['drop_to_noise']:g}", f"confidence {content['confidence']}; 3 is the least"],
    ]
    if len(set(content["groups"].values())) > 1:
        rows += [[f"group {name}", _rate(rate), "its ratio to the first is kept"] for name, rate in _groups(content)]
    rows += [[f"rule {name}", _rate(rate), "for comparison"] for name, rate in others.items()]
    out.print()
    out.print(table("", ["", "", ""], rows, numbers_from=9))
    for one in content["sweeps"]:
        skipped = f", {one['skipped']} updates skipped by the fp16 scaler" if one["skipped"] else ""
        steepest = f", steepest {_rate(one['steepest'])}" if len(content["sweeps"]) > 1 else ""
        out.print(f"seed {one['seed']}: {one['points']} points, {escape(one['stopped'])}{steepest}{skipped}")
    if content["advice"] and content["suggestion"] is not None:
        out.print(f"[yellow]{escape(content['advice'])}[/]")
    run = escape(near(content["run"]))
    undrawn(content)
    curve = "" if "undrawn" in content else f"  curve    {run}/lr_find.png\n"
    out.print(f"\n{curve}  numbers  {run}/lr_find.csv, lr_find.json")
    for path in content.get("written", ()):
        out.print(f"  written  {escape(near(path))}")
    if content["suggestion"] is not None:
        out.print(f"\n[bold]{escape(content['override'])}[/]\n\nnext: {escape(content['train'])}")


def _groups(content: Mapping[str, Any]) -> list[tuple[str, float | None]]:
    return list(content["groups"].items())


def _interval_text(content: Mapping[str, Any]) -> str:
    if len(content["sweeps"]) > 1:
        return "smallest and largest over the seeds"
    return "how far the noise may have moved the steepest point (5 % to 95 %)"


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.3g}"
