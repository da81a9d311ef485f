"""The command `dlexp export`: writes the exported network and prints its description."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlexp.cli.commands.results.evaluate import check_checkpoint, check_word
from dlexp.cli.completion import EXPORT_FORMATS
from dlexp.cli.console import err, escape, out, print_json, table


@dataclass(frozen=True)
class ExportArguments:
    """The arguments of `dlexp export`."""

    to: str
    out: Path | None
    checkpoint: str
    with_preprocessing: bool
    samples: tuple[str, ...]
    tolerance: float
    force: bool


def export(run: str, arguments: ExportArguments, trust: tuple[str, ...], allow_changes: bool, as_json: bool) -> None:
    """Export and print the input, the output and the deviation from the run's network."""
    check_word("--to", arguments.to, EXPORT_FORMATS)
    check_checkpoint(arguments.checkpoint)
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.config.nodes import trusted_packages

    folder = named_run(run)
    RunDir.find(folder)  # raises an error before torch is imported
    trusted = trusted_packages(trust)
    from dlexp.workflows.export.export import ExportRequest, export_run
    from dlexp.workflows.run_record.restore import RestoreOptions

    request = ExportRequest(
        arguments.to,
        arguments.out,
        arguments.with_preprocessing,
        arguments.samples,
        arguments.tolerance,
        arguments.force,
    )
    options = RestoreOptions(arguments.checkpoint, None, trusted, allow_changes)
    content = export_run(folder, request, options, lambda text: err.print(f"[yellow]{escape(text)}[/]"))
    if as_json:
        print_json(content)
    else:
        _show(content)


def _show(content: Mapping[str, Any]) -> None:
    compared = content["compared"]
    near = min(os.path.relpath(content["file"]), content["file"], key=len)
    rows = [[name, _values(content[name])] for name in ("input", "output")]
    rows.append(["meaning", content["output"]["what"]])
    rows.append(["checked on", f"{compared['on']}, batches of {', '.join(map(str, compared['batches'][:5]))}"])
    text = f"{compared['largest_difference']:.3g}, with a largest output of {compared['largest_output']:.3g}"
    unit = "" if compared["in"] == "the unit of the outputs" else f", in {compared['in']}"
    rows.append(["difference", f"at most {text}{unit}"])
    out.print(table("", ["", ""], rows, numbers_from=9))
    out.print(f"\n  file     {escape(near)} ({content['bytes']:,} bytes)")


def _values(described: Mapping[str, Any]) -> str:
    return f"{described['dtype']} {' x '.join(map(str, described['shape']))}, named {described['name']}"
