"""The workflow `dlexp lr-find`, and `optim.lr=auto`: a learning-rate range test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dlexp.artifacts.files.new_folder import refuse_occupied
from dlexp.artifacts.files.writing import write_text
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import Experiment
from dlexp.assemble.training import prepare_training
from dlexp.config.check.batch_size import AUTO
from dlexp.config.saved import overrides_to_yaml, to_yaml
from dlexp.config.schema.run import Node, RunConfig
from dlexp.config.typed import with_placeholder_rate, with_values
from dlexp.data.loaders import EvalBatches
from dlexp.engine.loop import StepRecord
from dlexp.engine.lr_finder.suggestion import MIN_POINTS, combine, read
from dlexp.engine.lr_finder.sweep import Sweep, SweepPlan, SweepPoint, run_sweep
from dlexp.errors import ConfigError, NoResult
from dlexp.findings import counted
from dlexp.runtime.seed import kept_randomness
from dlexp.runtime.signals import StopRequest
from dlexp.types import Batch
from dlexp.workflows.lr_find.result import (
    Findings,
    FindRequest,
    lr_find_content,
    refuse_foreign_experiment,
    round_rate,
    train_line,
    why_none,
    write_findings,
    write_override,
)
from dlexp.workflows.lr_find.settings import SweepSettings
from dlexp.workflows.prepare.batch_size import resolve_batch_size
from dlexp.workflows.prepare.initial_weights import prepared
from dlexp.workflows.reporter import Reporter, RunFacts, Silent, unbroken
from dlexp.workflows.run_record.write import experiment_facts

# The range test sets the learning rate of every update itself.
_NO_SCHEDULE = Node("scheduler", "constant", "dlexp.optim.schedules.smooth.constant", {})


def lr_find(config: RunConfig, settings: SweepSettings, request: FindRequest, reporter: Reporter) -> dict[str, Any]:
    """Run the range test and write lr_find.csv, .json and .png; returns the content of the JSON file."""
    if request.run_dir is not None:
        refuse_occupied(request.run_dir)
    if request.apply:
        refuse_foreign_experiment(request)
    config, batch = resolve_batch_size(config, request.trusted, reporter)
    # Before creating a directory: model, data and optimizer may be incompatible.
    with kept_randomness():
        experiment = prepared(sweepable(config, config.seed), request.trusted)
    run = RunDir.create("lr-find", config.run_name, request.run_dir)
    with run.lock():
        write_text(run / "config.yaml", to_yaml(config))
        if batch is not None:
            batch.write(run.path)
        write_text(run / "overrides.yaml", overrides_to_yaml(list(request.overrides)))
        write_text(run / "command.txt", f"{request.command}\n# in {Path.cwd()}\n")
        findings = find_rate(config, settings, request.trusted, reporter, str(run.path), experiment)
        content = {"run": str(run.path), **lr_find_content(findings)}
        if findings.rate is not None:
            content["override"] = f"optim.lr={findings.rate}"
            content["train"] = train_line(request, findings.rate)
            if request.apply:
                content["written"] = write_override(run, request, findings.rate)
        undrawn = write_findings(run.path, config, findings, content)
        content |= {"undrawn": undrawn} if undrawn else {}
    return content


def resolve_learning_rate(
    config: RunConfig, trusted: Sequence[str], reporter: Reporter
) -> tuple[RunConfig, Findings | None]:
    """`config` with optim.lr=auto replaced by a number. Raises NoResult if the range test suggests none."""
    if config.optim.arguments.get("lr") != AUTO:
        return config, None
    settings = SweepSettings()
    reporter.say(f"optim.lr=auto: range test from {settings.min_lr:g} to {settings.max_lr:g}, {settings.steps} updates")
    findings = find_rate(config, settings, trusted, Silent(), "")
    if findings.rate is None:
        why = why_none(lr_find_content(findings))
        raise NoResult(f"optim.lr=auto: {why}. Plot the curve with dlexp lr-find and the same overrides")
    low, high = (round_rate(value) for value in (findings.verdict.low, findings.verdict.high))
    confidence = findings.verdict.confidence
    reporter.say(f"selected optim.lr={findings.rate} (range {low:g} to {high:g}, drop / noise {confidence:.1f})")
    return with_values(config, {"optim.lr": findings.rate}), findings


def find_rate(
    config: RunConfig,
    settings: SweepSettings,
    trusted: Sequence[str],
    reporter: Reporter,
    where: str,
    first: Experiment | None = None,
) -> Findings:
    """Run the range test once per seed and analyze the curves; the global random state is preserved.

    Args:
        config: The configuration.
        settings: The range and the number of updates and seeds.
        trusted: Trusted packages.
        reporter: Receives the progress.
        where: The run directory, for the reporter.
        first: The experiment of the first seed, if it is already built.

    Raises:
        NoResult: A range test has too few points for a curve.
    """
    seeds = tuple(range(config.seed, config.seed + settings.seeds))
    sweeps: list[Sweep] = []
    facts: dict[str, Any] = {}
    with kept_randomness(), StopRequest() as stop:
        reporter = unbroken(reporter, stop)
        try:
            for number, seed in enumerate(seeds, start=1):
                experiment = first if first and number == 1 else prepared(sweepable(config, seed), trusted)
                if number == 1:
                    facts = experiment_facts(experiment)
                    reporter.begin(_facts(config, settings, facts, where))
                sweeps.append(_sweep(experiment, settings, number, reporter, stop))
        finally:
            reporter.end()
    for one in sweeps:
        if len(one.points) < MIN_POINTS:
            raise NoResult(
                f"the range test has {len(one.points)} points, but requires {MIN_POINTS} ({one.reason}). "
                f"Decrease --min-lr (currently {settings.min_lr:g}) or increase --steps (currently {settings.steps})."
            )
    readings = tuple(read(one.x, one.y, one.diverged) for one in sweeps)
    return Findings(settings, seeds, tuple(sweeps), readings, combine(readings), facts)


def _sweep(
    experiment: Experiment, settings: SweepSettings, number: int, reporter: Reporter, stop: StopRequest
) -> Sweep:
    setup = prepare_training(experiment)

    def observe(points: int, point: SweepPoint) -> None:
        loss = {"loss": point.loss}
        reporter.observe(StepRecord(number, points, settings.steps, points, 0, {"": point.rate}, lambda: loss))

    plan = SweepPlan(
        task=experiment.task,
        train=setup.batches,
        rules=setup.rules,
        accumulate=experiment.config.trainer.accumulate,
        min_lr=settings.min_lr,
        max_lr=settings.max_lr,
        steps=settings.steps,
        val=_validation_subset(experiment, settings.val_batches) if settings.loss == "val" else None,
        on_point=observe,
    )
    return run_sweep(plan, setup.state, stop)


def _validation_subset(experiment: Experiment, batches: int) -> list[Batch]:
    """A fixed subset, evenly spaced over the split, so that data sorted by class is covered."""
    samples = len(experiment.bundle.splits["val"])
    count = min(samples, batches * experiment.config.eval_batch_size)
    picked = np.linspace(0, samples - 1, count).round().astype(np.int64)
    bundle = experiment.bundle.with_split_subset("val", torch.from_numpy(picked))
    return list(EvalBatches(bundle, "val", experiment.config.eval_batch_size, experiment.device))


def sweepable(config: RunConfig, seed: int) -> RunConfig:
    """`config` with a seed and without its schedule. Raises ConfigError if the optimizer has no lr."""
    if "lr" not in config.optim.arguments:
        raise ConfigError.one("optim", config.optim.option, "has no learning rate", code="not-supported")
    return replace(with_placeholder_rate(config), seed=seed, scheduler=_NO_SCHEDULE, scheduler_phases={})


def _facts(config: RunConfig, settings: SweepSettings, facts: Mapping[str, Any], where: str) -> RunFacts:
    seeds = f"{settings.seeds} seeds from {config.seed}" if settings.seeds > 1 else f"seed {config.seed}"
    threads = counted(facts["threads"], "thread")
    accumulated = f" x {config.trainer.accumulate}" if config.trainer.accumulate > 1 else ""
    texts = {
        "model": f"{config.model.option}, {facts['parameters']:,} parameters",
        "data": f"{config.data_title}, batch {config.batch_size}{accumulated}",
        "optim": f"{config.optim.option}, lr from {settings.min_lr:g} to {settings.max_lr:g}",
        "test": f"{settings.steps} updates, {settings.loss} loss, {seeds}",
        "machine": f"{facts['device']}, {threads}, {facts['precision']} ({facts['precision_reason']})",
    }
    title = f"learning rate of {config.model.option} on {config.data_name}"
    return RunFacts(title, where, settings.seeds, 0, settings.steps, texts)
