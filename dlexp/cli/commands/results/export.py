"""The command `dlexp export`: exports the network of a run and checks its outputs."""

from __future__ import annotations

from typing import Annotated

import typer

from dlexp.cli import completion
from dlexp.cli import options as given
from dlexp.cli.commands.results.combining import averaged_folders
from dlexp.cli.completion import EXPORT_FORMATS
from dlexp.cli.style import print_json

RunsToExport = Annotated[
    str,
    typer.Argument(
        help="directory of a run, a group of seeds or an ensemble, or `latest`", autocompletion=completion.runs
    ),
]
MoreRuns = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RUN]...", help="more runs, for one file of their mean", autocompletion=completion.runs),
]


def export(
    run: RunsToExport,
    others: MoreRuns = None,
    to: given.To = "onnx",
    out: given.ExportOut = None,
    checkpoint: given.Checkpoint = "best",
    with_preprocessing: given.WithPreprocessing = False,
    samples: given.Samples = None,
    tolerance: given.Tolerance = 1e-4,
    allow_changes: given.UseChanged = False,
    trust: given.Trust = None,
    force: given.Force = False,
    json: given.Json = False,
) -> None:
    """Export the network of a run, or the mean of several, and check its outputs."""
    from dlexp.config.nodes import trusted_packages
    from dlexp.workflows.finished_run import check_checkpoint, check_word

    check_word("--to", to, EXPORT_FORMATS)
    check_checkpoint(checkpoint)
    folder, *more = averaged_folders([run, *(others or ())])
    trusted = trusted_packages(tuple(trust or ()))
    from dlexp.cli.views.results.export import show, warn
    from dlexp.workflows.export.export import ExportRequest, export_run
    from dlexp.workflows.run_record.restore import RestoreOptions

    request = ExportRequest(to, out, with_preprocessing, tuple(samples or ()), tolerance, force, more)
    content = export_run(folder, request, RestoreOptions(checkpoint, None, trusted, allow_changes), warn)
    if json:
        print_json(content)
    else:
        show(content)
