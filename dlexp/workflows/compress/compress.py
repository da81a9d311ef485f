"""The workflow `dlexp compress`: a smaller network of a run, in a run directory of its own, measured beside it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore
from dlexp.artifacts.files.writing import write_json
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.compression import structure_of
from dlexp.assemble.experiment import Experiment, assemble, plain_networks
from dlexp.assemble.training import TrainingSetup, prepare_training
from dlexp.compression.layers import structure_between
from dlexp.config.derive import Change
from dlexp.config.saved import load_plain, plain_config
from dlexp.config.schema.run import RunConfig
from dlexp.engine.evaluate import evaluate
from dlexp.engine.state import load_weights
from dlexp.workflows.compress.agreement import agreement
from dlexp.workflows.compress.baseline import train_baseline
from dlexp.workflows.compress.integer_facts import with_integer_facts
from dlexp.workflows.compress.pareto import write_pareto
from dlexp.workflows.compress.quantize import check_quantizable, quantized
from dlexp.workflows.compress.request import CompressRequest, Prune, Quantize
from dlexp.workflows.compress.result import content_of
from dlexp.workflows.compress.source import Source, evaluated, read_source
from dlexp.workflows.compress.steps import Compressed, apply_steps
from dlexp.workflows.evaluate.evaluate import write_evaluation
from dlexp.workflows.reporter import Reporter
from dlexp.workflows.run_record.anomaly_threshold import measure_threshold
from dlexp.workflows.run_record.write import experiment_facts, write_request
from dlexp.workflows.sample.while_training import check_sample_pictures
from dlexp.workflows.train.trackers import check_loggers
from dlexp.workflows.train.train import train_prepared

FILE = "compress.json"


def compress(
    folder: Path, config: RunConfig, request: CompressRequest, reporter: Reporter, changes: tuple[Change, ...] = ()
) -> dict[str, Any]:
    """Compress the run in `folder`; returns compress.json of the result, or of all results of several strengths.

    Args:
        folder: Of the trained run.
        config: Its configuration, with the overrides of the request.
        request: The steps, and how their result is trained and measured.
        reporter: Receives the progress of the fine-tuning.
        changes: The changes of the configuration relative to the run.

    Raises:
        ConfigError: The network cannot be taken apart, or an argument is wrong.
        DataError: The data of the run have changed.
    """
    source = read_source(folder, request, _of_machine(changes))
    variants = request.variants()
    if len(variants) == 1:
        return _one(source, config, request, reporter, changes)
    whole = RunDir.create("compress", config.run_name, request.run_dir)
    found = []
    for variant in variants:
        reporter.say(f"compressing with {variant.words}")
        made = replace(variant, run_dir=whole / _folder_name(variant))
        found.append(_one(source, config, made, reporter, changes))
    return write_pareto(whole.path, source, found)


def _one(
    source: Source, config: RunConfig, request: CompressRequest, reporter: Reporter, changes: tuple[Change, ...]
) -> dict[str, Any]:
    """Compress with one strength of each step, in a run directory."""
    made = _compressed(source, config, request)
    if isinstance(request.steps[-1], Quantize):
        check_quantizable(made.experiment)
    setup = prepare_training(made.experiment)
    check_loggers(made.experiment.config)
    check_sample_pictures(made.experiment)
    run = RunDir.create("compress", config.run_name, request.run_dir)
    with run.lock():
        plain = [vars(change) for change in changes]
        write_request(run, made.experiment, request.overrides, request.command, plain)
        run.point_latest()
        run.list_elsewhere(reporter.say)
        for note in made.done.notes:
            reporter.say(note)
        summary = _trained(run, setup, request, reporter, source)
        experiment, whole = made.experiment, None
        if isinstance(last := request.steps[-1], Quantize):
            whole = quantized(run, experiment, last)
        _evaluate_both(run, source, experiment if whole is None else whole.experiment, request)
    baseline = train_baseline(run, source, made.experiment, request, reporter) if request.has_baseline else None
    timed = request if whole is None else replace(request, repeats=0)
    content = content_of(run, source, experiment, timed, made.done, summary) | (
        {} if baseline is None else {"baseline": baseline}
    )
    if whole is not None:
        content = with_integer_facts(content, source, whole, request)
    if (share := agreement(run, request.split)) is not None:
        content["agreement"] = share
    write_json(run / FILE, content)
    return content


@dataclass(frozen=True)
class _Made:
    """The experiment of the compressed network, and what was done to it."""

    experiment: Experiment
    done: Compressed


def _compressed(source: Source, config: RunConfig, request: CompressRequest) -> _Made:
    """Apply the steps to a copy of the source; the result is built as it will be restored: constructor, then widths."""
    networks = copy.deepcopy(source.experiment.networks)
    work = replace(source.experiment, networks=networks)
    done = apply_steps(work, request.steps)
    before = structure_of(source.experiment.config)
    structure = structure_between(plain_networks(source.experiment), networks, {**before.ranks, **done.ranks})
    values = {
        "compression.layer_ranks": structure.rank_words(),
        "compression.layer_widths": structure.width_words(),
        "init_from": None,
        "trainer.test": False,  # the split of the request decides what is read
        **done.values,
    }
    if request.epochs:
        values["trainer.epochs"] = request.epochs
    gradual = any(isinstance(step, Prune) and step.is_gradual for step in request.steps)
    values["compression.gradual_epochs"] = (request.epochs + 1) // 2 if gradual else 0
    if config.task.arguments.get("hints"):  # layers may be gone, and their maps are no part of the network
        values["task.hints"] = {}
    checked = load_plain(plain_config(config), values)  # a shorter training may contradict other keys
    trains = bool(request.epochs or request.has_baseline)
    experiment = assemble(checked, request.trusted, source.experiment.bundle, is_for_training=trains)
    load_weights(experiment.networks, networks.state_dict())
    return _Made(experiment, done)


def _trained(
    run: RunDir, setup: TrainingSetup, request: CompressRequest, reporter: Reporter, source: Source
) -> dict[str, Any]:
    """Save the compressed weights as the state before the first epoch, and fine-tune them; returns the summary."""
    experiment, state, say = setup.experiment, setup.state, reporter.say
    config, store = experiment.config, CheckpointStore(run / "checkpoints", say)
    metrics = evaluate(
        experiment.task,
        experiment.networks,
        experiment.split("val"),
        experiment.precision,
        experiment.metrics.epoch_state(),
        seed=config.seed,
    ).metrics
    position = {"epoch": 0, "batch": 0, "step": 0}
    if not config.compression.gradual_epochs:  # else the network is not compressed yet
        value = metrics.get(config.monitor.removeprefix("val/"))
        if value is not None and config.monitor.startswith("val/"):
            state.best.update(value, 0)
        weights = {"networks": experiment.networks.state_dict(), "position": position, "metrics": metrics}
        store.save_best(weights)
    store.save_last(state.state_dict())
    if request.epochs:
        summary = train_prepared(run, setup, reporter)
        return {**summary, "source": str(source.run.path)}
    with run.recording(config.trainer.epochs):
        measure_threshold(run, experiment, say)
        summary = {
            "run": str(run.path),
            "source": str(source.run.path),
            "reason": f"compressed with {request.words}; no weights were trained",
            "monitor": config.monitor,
            "best_epoch": 0,
            "best": metrics,
            "epochs": 0,
            "updates": 0,
            "seconds": 0.0,
            **experiment_facts(experiment),
        }
        write_json(run / "summary.json", summary)
    return summary


def _evaluate_both(run: RunDir, source: Source, experiment: Experiment, request: CompressRequest) -> None:
    """Write eval/<split>/ of the compressed network, and before/eval/<split>/ of the source."""
    what = (request.split, request.checkpoint)
    write_evaluation(RunDir(run / "before"), source.experiment, what, source.evaluation)
    write_evaluation(run, experiment, (request.split, "best"), evaluated(experiment, request.split))


def _folder_name(request: CompressRequest) -> str:
    """The directory of one strength of several, such as prune-0.3."""
    share = next(step.strengths[0] for step in request.steps if isinstance(step, Prune))
    return f"prune-{share:g}"


_OF_MACHINE = ("trainer.device", "trainer.precision", "trainer.threads", "trainer.channels_last", "data.path")


def _of_machine(changes: tuple[Change, ...]) -> Mapping[str, Any]:
    """The changes that hold for the source too: where and how fast it is evaluated."""
    return {change.path: change.after for change in changes if change.path in _OF_MACHINE}
