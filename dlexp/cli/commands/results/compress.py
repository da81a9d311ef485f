"""The command `dlexp compress`: makes the network of a run smaller, and measures it before and after."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dlexp.cli import compression_options as own
from dlexp.cli import options as given
from dlexp.cli.argv import CommonOptions, common_options
from dlexp.cli.style import print_json

if TYPE_CHECKING:
    from dlexp.workflows.compress.request import CompressRequest, Step


def compress(
    run: given.Run,
    overrides: own.FineTuningOverrides = None,
    prune: own.PruneShares = None,
    scope: own.PruneScope = "layer",
    structured: own.Structured = False,
    norm: own.PruneNorm = "l2",
    gradual: own.Gradual = False,
    low_rank: own.LowRankShare = None,
    rank_by: own.RankBy = "size",
    quantize: own.QuantizeMode = None,
    epochs: own.FineTuningEpochs = 0,
    baseline: own.Baseline = False,
    split: own.CompressSplit = "val",
    metric: own.CompressMetric = None,
    checkpoint: given.Checkpoint = "best",
    onnx: own.TimesOnnx = False,
    repeats: own.Repeats = 100,
    run_dir: given.RunDirectory = None,
    allow_changes: given.UseChanged = False,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    quiet: given.Quiet = False,
    json: given.Json = False,
) -> None:
    """Make the network of a run smaller: prune it, lower its ranks, quantize it. Prints a table of before and after."""
    from dlexp.workflows.compress.request import CompressRequest, check_request, steps_of

    how = {"scope": scope, "is_structured": structured, "norm": norm, "is_gradual": gradual}
    steps = steps_of(prune, how, low_rank, rank_by, quantize)
    common = common_options(config_dir, trust)
    request = CompressRequest(
        steps=tuple(in_order(steps, sys.argv[1:])),
        epochs=epochs,
        has_baseline=baseline,
        split=split,
        checkpoint=checkpoint,
        repeats=repeats,
        times_onnx=onnx,
        metric=metric,
        overrides=tuple(overrides or ()),
        command=(common.command,),
        run_dir=run_dir,
        allow_changes=allow_changes,
    )
    check_request(request)
    _compress(run, request, common, quiet or json, json)


def in_order(steps: Sequence[Step], argv: Sequence[str]) -> list[Step]:
    """The steps in the order of the line; those that it does not name first, as they are."""
    words = [word.partition("=")[0] for word in argv]
    names = {type(step).__name__: step.words.partition(" ")[0] for step in steps}
    places = {name: words.index(word) if word in words else -1 for name, word in names.items()}
    return sorted(steps, key=lambda step: places[type(step).__name__])


def _compress(run: str, request: CompressRequest, common: CommonOptions, quiet: bool, as_json: bool) -> None:
    """Compress the run, and print the result."""
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.cli.commands.configuration import catalog_of, configuration, trusted_of

    folder = named_run(run)
    RunDir.find(folder)  # raises an error before torch is imported
    config, all_overrides, changes = configuration(request.overrides, str(folder), catalog_of(common))
    request = replace(request, overrides=all_overrides, trusted=trusted_of(common))
    from dlexp.cli.views.results.compress import show
    from dlexp.cli.views.training.display import reporter
    from dlexp.workflows.compress.compress import compress as workflow

    content = workflow(folder, config, request, reporter(quiet), tuple(changes or ()))
    if as_json:
        print_json(content)
    else:
        show(content)
