"""The workflow `dlexp adapt`: new statistics for the normalization layers of a run, from other data (AdaBN).

Li et al. 2017, "Revisiting Batch Normalization for Practical Domain Adaptation", arXiv:1603.04779: what a network
learned is kept, and the mean and variance of each channel are replaced by those of the target data. Its labels are used
only to evaluate its validation split.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from dlexp.errors import ConfigError, DataError
from dlexp.regularization.weight_averaging import running_norms
from dlexp.types import Batch
from dlexp.workflows.run_record.other_data import data_in_classes_of
from dlexp.workflows.run_record.restore import in_trained_units, without_checkpoint
from dlexp.workflows.run_record.write import experiment_facts, run_environment, write_request
from dlexp.workflows.train.train import Request


def adapt(source: RunDir, config: RunConfig, request: Request) -> dict[str, Any]:
    """Measure the running statistics of `source` on the training inputs of other data; returns summary.json.

    Writes a run directory that `evaluate` and `init_from` accept.

    Args:
        source: The trained run.
        config: The configuration of `source` with other data.
        request: The command and the directory of the new run.

    Raises:
        ConfigError: The network has no running statistics.
        DataError: The data has other classes or targets.
        DlexpError: The run has no best checkpoint.
    """
    best = CheckpointStore(source / "checkpoints", lambda text: None).load_best()
    if best is None:
        raise without_checkpoint(source, "best")
    config = _from_source(source, config)
    bundle = in_trained_units(source, data_in_classes_of(source, config, request.trusted, lacking=False))
    experiment = assemble(config, request.trusted, bundle, is_for_training=False)
    _refuse_other_outputs(source, experiment)
    with naming(source / "checkpoints" / "best.pt"):
        load_weights(experiment.networks, experiment.trained_weights(best["networks"]))
    norms = running_norms(experiment.networks)
    if not norms:
        rule = "has no normalization layers with running statistics"
        raise ConfigError.one(
            "model", config.model.option, rule, "Train it with model.norm=batch", code="not-supported"
        )
    run = RunDir.create("adapt", config.run_name, request.run_dir)
    with run.lock():
        write_request(run, experiment, request.overrides, request.command, [vars(change) for change in request.changes])
        run.point_latest()
        with run.recording(config.trainer.epochs):
            return _measured(run, source, experiment, len(norms))


def _measured(run: RunDir, source: RunDir, experiment: Experiment, num_norms: int) -> dict[str, Any]:
    """Evaluate, measure, evaluate again and write the summary."""
    before = _evaluated(experiment)
    experiment.networks.train()
    measure_statistics(experiment.task, experiment.networks, _batches(experiment), experiment.precision)
    after = _evaluated(experiment)
    position = {"epoch": 0, "batch": 0, "step": 0}
    weights = {"networks": experiment.networks.state_dict(), "position": position, "metrics": after}
    CheckpointStore(run / "checkpoints", lambda text: None).save_best(weights)
    samples = len(experiment.bundle.splits["train"])
    summary = {
        "run": str(run.path),
        "source": str(source.path),
        "reason": f"{num_norms} normalization layers measured on {samples:,} samples; no weights were trained",
        "monitor": experiment.config.monitor,
        "best_epoch": 0,
        "best": after,
        "val": {"before": before, "after": after},
        "worse": _is_worse(experiment, before, after),
        "epochs": 0,
        "updates": 0,
        "seconds": 0.0,
        **experiment_facts(experiment),
    }
    write_json(run / "summary.json", summary)
    return summary


def _is_worse(experiment: Experiment, before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    """Return whether the monitored metric became worse; False if it is no metric of the validation split."""
    name, sign = experiment.config.monitor.removeprefix("val/"), 1 if experiment.config.maximize else -1
    return name in before and name in after and sign * after[name] < sign * before[name]


def _from_source(source: RunDir, config: RunConfig) -> RunConfig:
    """`config` with all weights of `source`."""
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
    before, now = read_run_file(source / "meta.json").get("outputs"), run_environment(experiment)["outputs"]
    if before is not None and before != now:
        what = f"{source.path} was trained on the outputs {before}, but this data has {now}"
        raise DataError(
            what,
            remedy="Use data with the same outputs, or train with init_from=RUN init_head=new",
            code="incompatible-data",
        )


def _evaluated(experiment: Experiment) -> dict[str, float]:
    return evaluate(
        experiment.task,
        experiment.networks,
        experiment.split("val"),
        experiment.precision,
        experiment.metrics.epoch_state(),
        seed=experiment.config.seed,
    ).metrics


def _batches(experiment: Experiment) -> Iterator[Batch]:
    """The training inputs in order, unchanged; a last batch of one sample has no variance and is skipped."""
    for number, batch in enumerate(experiment.split("train")):
        if number == 0 or len(batch) > 1:
            yield batch
