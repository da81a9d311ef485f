"""`dlexp adapt`: a run's normalisation layers, measured anew on other data (AdaBN); a run of its own comes out.

Li et al. 2017, "Revisiting Batch Normalization for Practical Domain Adaptation", arXiv:1603.04779: what a network
learned is kept, and the mean and variance of each channel become those of the data that it is to be used on. No label
of these data is needed, and none is used but for the two figures of their validation split.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore, naming
from dlexp.artifacts.files.writing import write_json
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.assemble.experiment import Experiment, assemble
from dlexp.config.schema.run import RunConfig
from dlexp.engine.evaluate import evaluate
from dlexp.engine.norm_statistics import measure_statistics
from dlexp.engine.state import load_weights
from dlexp.errors import ConfigError, DataError, DlexpError
from dlexp.regularization.weight_averaging import running_norms
from dlexp.types import Batch
from dlexp.workflows.run_record.other_data import data_in_classes_of
from dlexp.workflows.run_record.restore import in_trained_units
from dlexp.workflows.run_record.write import experiment_facts, present, write_request
from dlexp.workflows.train.train import Request


def adapt(source: RunDir, config: RunConfig, request: Request) -> dict[str, Any]:
    """Measure the running statistics of `source` on the training inputs of the data in `config`; returns summary.json.

    config   that of `source`, with other data
    Writes a run directory that `evaluate` and `init_from` read like any other. Raises ConfigError for a network without
    running statistics, DataError for data with other classes or targets, DlexpError without a best checkpoint.
    """
    best = CheckpointStore(source / "checkpoints", lambda text: None).load_best()
    if best is None:
        raise DlexpError(f"{source.path} has no best checkpoint yet; let it finish an epoch first", code="not-found")
    config = _from_source(source, config)
    bundle = in_trained_units(source, data_in_classes_of(source, config, request.trusted, lacking=False))
    experiment = assemble(config, request.trusted, bundle)
    _refuse_other_outputs(source, experiment)
    with naming(source / "checkpoints" / "best.pt"):
        load_weights(experiment.networks, best["networks"])
    norms = running_norms(experiment.networks)
    if not norms:
        rule = "has no normalisation with running statistics, so that there is nothing to adapt"
        raise ConfigError.one(
            "model", config.model.option, rule, "train it with model.norm=batch", code="not-supported"
        )
    run = RunDir.create("adapt", config.name or f"{config.model.option}-{config.data.option}", request.run_dir)
    with run.lock():
        write_request(run, experiment, request.words, request.command, [vars(change) for change in request.changes])
        run.point_latest()
        with run.recording(config.trainer.epochs):
            return _measured(run, source, experiment, len(norms))


def _measured(run: RunDir, source: RunDir, experiment: Experiment, num_norms: int) -> dict[str, Any]:
    """Judge, measure, judge, and write what came out."""
    before = _judged(experiment)
    experiment.networks.train()
    measure_statistics(experiment.task, experiment.networks, _batches(experiment), experiment.precision)
    after = _judged(experiment)
    position = {"epoch": 0, "batch": 0, "step": 0}
    weights = {"networks": experiment.networks.state_dict(), "position": position, "metrics": after}
    CheckpointStore(run / "checkpoints", lambda text: None).save_best(weights)
    samples = len(experiment.bundle.splits["train"])
    summary = {
        "run": str(run.path),
        "source": str(source.path),
        "reason": f"{num_norms} normalisation layers measured on {samples:,} samples; no weight was trained",
        "monitor": experiment.config.monitor,
        "best_epoch": 0,
        "best": after,
        "val": {"before": before, "after": after},
        "epochs": 0,
        "updates": 0,
        "seconds": 0.0,
        **experiment_facts(experiment),
    }
    write_json(run / "summary.json", summary)
    return summary


def _from_source(source: RunDir, config: RunConfig) -> RunConfig:
    """`config` with the weights of `source`, all of them."""
    values = {"init_from": str(source.path.resolve()), "init_head": "keep", "init_strict": True}
    return replace(
        config,
        init_from=str(values["init_from"]),
        init_head="keep",
        init_strict=True,
        tree={**config.tree, **values},
        resolved={**config.resolved, **values},
    )


def _refuse_other_outputs(source: RunDir, experiment: Experiment) -> None:
    before, now = read_run_file(source / "meta.json").get("outputs"), present(experiment)["outputs"]
    if before is not None and before != now:
        what = f"{source.path} tells apart {before}, and these data hold {now}"
        raise DataError(
            what,
            remedy="adapt to data with the same classes, or train with init_from=RUN init_head=new",
            code="incompatible-data",
        )


def _judged(experiment: Experiment) -> dict[str, float]:
    return evaluate(
        experiment.task, experiment.networks, experiment.split("val"), experiment.precision, seed=experiment.config.seed
    ).metrics


def _batches(experiment: Experiment) -> Iterator[Batch]:
    """The training inputs in order, unchanged; a last batch of a single sample has no variance, and is left out."""
    for number, batch in enumerate(experiment.split("train")):
        if number == 0 or len(batch) > 1:
            yield batch
