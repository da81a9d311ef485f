"""The honest baseline: a network of the compressed size, trained from random weights for as many updates."""

from __future__ import annotations

from typing import Any

from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import Experiment
from dlexp.config.typed import with_values
from dlexp.workflows.compress.request import CompressRequest
from dlexp.workflows.compress.source import Source
from dlexp.workflows.evaluate.evaluate import evaluate_run
from dlexp.workflows.reporter import Reporter
from dlexp.workflows.train.train import Request, train

FOLDER = "baseline"


def train_baseline(
    run: RunDir, source: Source, experiment: Experiment, request: CompressRequest, reporter: Reporter
) -> dict[str, Any]:
    """Train it in the directory baseline/ of the run and evaluate it on the split; returns its facts.

    It has as many epochs as the source had, and those of the fine-tuning.

    Args:
        run: The compressed run.
        source: The run that was compressed.
        experiment: Of the compressed network, before a quantization.
        request: Its split and trusted packages.
        reporter: Receives the progress.
    """
    epochs = source.experiment.config.trainer.epochs + request.epochs
    config = with_values(experiment.config, {"trainer.epochs": epochs, "trainer.test": False})
    reporter.say(f"training the same structure from random weights, {epochs} epochs")
    folder = run / FOLDER
    wanted = Request(request.overrides, request.command, folder, request.trusted, bundle=source.experiment.bundle)
    summary = train(config, wanted, reporter)
    report = evaluate_run(folder, request.split, "best", {}, request.trusted)
    return {"run": str(folder), "epochs": summary["epochs"], "metrics": report["metrics"]}
