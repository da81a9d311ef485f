"""The signatures of the commands that use a finished run."""

from __future__ import annotations

from dlexp.cli import options as given
from dlexp.cli.argv import common_options


def predict(
    run: given.Run,
    inputs: given.Inputs = None,
    out: given.Out = None,
    format: given.Format = None,
    files_from: given.FilesFrom = None,
    checkpoint: given.Checkpoint = "best",
    batch_size: given.BatchSize = None,
    probabilities: given.Probabilities = False,
    top: given.Top = 0,
    ignore_extra: given.IgnoreExtra = False,
    separator: given.Separator = None,
    allow_changes: given.UseChanged = False,
    trust: given.Trust = None,
    force: given.Force = False,
    quiet: given.Quiet = False,
    json: given.Json = False,
) -> None:
    """Predict new images, table rows or arrays. The training data is not needed."""
    from dlexp.cli.commands.results import predict as command

    files = command.Files(tuple(inputs or ()), files_from, out, format, force)
    arguments = command.PredictArguments(files, checkpoint, batch_size, probabilities, top, ignore_extra, separator)
    command.predict(run, arguments, command.CommandSettings(tuple(trust or ()), allow_changes, quiet, json))


def export(
    run: given.Run,
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
    """Export the network of a run and check its outputs."""
    from dlexp.cli.commands.results import export as command

    arguments = command.ExportArguments(to, out, checkpoint, with_preprocessing, tuple(samples or ()), tolerance, force)
    command.export(run, arguments, tuple(trust or ()), allow_changes, json)


def adapt(
    run: given.Run,
    overrides: given.AdaptationOverrides = None,
    run_dir: given.RunDirectory = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Adapt the normalization layers of a run to other data. No labels are used, no weights are trained (AdaBN)."""
    from dlexp.cli.commands.results import adapt as command

    command.adapt(run, tuple(overrides or ()), run_dir, common_options(config_dir, trust), json)


def replay(
    run: given.Run = "latest",
    overrides: given.ReplayOverrides = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Repeat the failed training step of a run. It is read from the crash capsule; the data set is not needed."""
    from dlexp.cli.commands.training import replay as command

    command.replay(run, tuple(overrides or ()), tuple(trust or ()), json)


def report(
    runs: given.Pages = None,
    out: given.PageFile = None,
    open_it: given.OpenPage = False,
    config_dir: given.ConfigDirs = None,
    json: given.Json = False,
) -> None:
    """Write an HTML report on a run, a study or several runs. The page is self-contained."""
    from dlexp.cli.commands.results import report as command

    arguments = command.ReportArguments(tuple(runs or ()), out, open_it)
    command.report(arguments, common_options(config_dir, None), json)
