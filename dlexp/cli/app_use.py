"""The commands that use a run: their words alone, as in app.py."""

from __future__ import annotations

from dlexp.cli import options as given
from dlexp.cli.argv import setting_of


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
    """Answer for samples of your own: images, tables or arrays; the training data need not be there."""
    from dlexp.cli.commands.results import predict as command

    files = command.Files(tuple(inputs or ()), files_from, out, format, force)
    words = command.PredictWords(files, checkpoint, batch_size, probabilities, top, ignore_extra, separator)
    command.predict(run, words, command.Manner(tuple(trust or ()), allow_changes, quiet, json))


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
    """Write a run's network to a file for other programs, and compare what comes out of it."""
    from dlexp.cli.commands.results import export as command

    words = command.ExportWords(to, out, checkpoint, with_preprocessing, tuple(samples or ()), tolerance, force)
    command.export(run, words, tuple(trust or ()), allow_changes, json)


def adapt(
    run: given.Run,
    overrides: given.AdaptationWords = None,
    run_dir: given.RunDirectory = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Adapt a run to other data without labels: its normalisation layers are measured anew; no weight is trained."""
    from dlexp.cli.commands.results import adapt as command

    command.adapt(run, tuple(overrides or ()), run_dir, setting_of(config_dir, trust), json)


def replay(
    run: given.Run = "latest",
    overrides: given.ReplayWords = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Make the step happen again that ended a run, from its crash capsule; no data set is needed."""
    from dlexp.cli.commands.training import replay as command

    command.replay(run, tuple(overrides or ()), tuple(trust or ()), json)


def report(
    runs: given.Pages = None,
    out: given.PageFile = None,
    open_it: given.OpenPage = False,
    config_dir: given.ConfigDirs = None,
    json: given.Json = False,
) -> None:
    """Write a run, a study or several runs as one HTML page that needs no network and no other file."""
    from dlexp.cli.commands.results import report as command

    words = command.ReportWords(tuple(runs or ()), out, open_it)
    command.report(words, setting_of(config_dir, None), json)
