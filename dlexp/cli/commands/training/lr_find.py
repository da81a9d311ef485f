"""The command `dlexp lr-find`: runs the learning-rate range test."""

from __future__ import annotations

from dlexp.cli import options as given
from dlexp.cli.argv import common_options
from dlexp.cli.style import print_json, short_path
from dlexp.errors import NoResult


def lr_find(
    overrides: given.Overrides = None,
    min_lr: given.MinRate = 1e-7,
    max_lr: given.MaxRate = 10.0,
    steps: given.SweepSteps = 100,
    seeds: given.SweepSeeds = 1,
    loss: given.SweepLoss = "train",
    val_batches: given.ValBatches = 4,
    apply: given.Apply = False,
    run_dir: given.RunDirectory = None,
    config_file: given.ConfigFiles = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    quiet: given.Quiet = False,
    json: given.Json = False,
) -> None:
    """Find a learning rate with a range test. It is suggested only if the loss curve is clear."""
    from dlexp.cli.commands.configuration import catalog_of, words_of
    from dlexp.config.compose import load
    from dlexp.config.nodes import trusted_packages
    from dlexp.workflows.lr_find.settings import SweepSettings

    settings = SweepSettings(min_lr, max_lr, steps, seeds, loss, val_batches)
    settings.check()
    common = common_options(config_dir, trust)
    catalog = catalog_of(common)
    typed = words_of(overrides, config_file, catalog)
    config = load(typed, catalog)
    trusted = trusted_packages(common.trust)
    from dlexp.cli.views.training.display import reporter
    from dlexp.cli.views.training.lr_find import show
    from dlexp.workflows.lr_find import lr_find as workflow
    from dlexp.workflows.lr_find.result import FindRequest, why_none

    request = FindRequest(typed, common.command, run_dir, trusted, common.config_dirs, apply=apply)
    content = workflow.lr_find(config, settings, request, reporter(quiet or json))
    is_low = content["suggestion"] is None
    if not json:
        show(content)
    elif not is_low:
        print_json(content)
    if is_low:  # with --json, the error is the only document
        where = "" if "undrawn" in content else f". The curve is in {short_path(content['run'])}/lr_find.png"
        raise NoResult(f"{why_none(content)}{where}")
