"""The workflow `dlexp train`: builds the experiment, trains it, and writes the run directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dlexp.artifacts.checkpoints.background import BackgroundCheckpoints
from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore, naming
from dlexp.artifacts.files.new_folder import refuse_occupied
from dlexp.artifacts.files.writing import write_json
from dlexp.artifacts.runs.metrics_log import MetricsLog, read_metrics
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.run_files import OF_AN_END, read_run_file
from dlexp.assemble.compression import refuse_onnx
from dlexp.assemble.experiment import Experiment, assemble
from dlexp.assemble.training import TrainingSetup, prepare_training, recovery_hooks
from dlexp.config.derive import Change
from dlexp.config.schema.run import RunConfig
from dlexp.config.schema.tree import shown
from dlexp.data.bundle import DataBundle
from dlexp.engine.evaluate import evaluate
from dlexp.engine.loop import Course, EpochRecord, Observer, StepRecord, course, follow, learning_rate_columns
from dlexp.engine.recovery import NonFiniteEvent, RecoveryHooks
from dlexp.engine.state import load_weights
from dlexp.engine.step import train_step
from dlexp.errors import Diverged, Interrupted
from dlexp.runtime.seed import set_global_state
from dlexp.runtime.signals import StopRequest
from dlexp.text.quoting import command
from dlexp.workflows.doctor.watching import watchers
from dlexp.workflows.epoch_line import epoch_line
from dlexp.workflows.evaluate.evaluate import write_evaluation
from dlexp.workflows.pictures import Pictures, curves
from dlexp.workflows.prepare.initial_weights import prepared
from dlexp.workflows.reporter import Reporter, RunFacts, unbroken
from dlexp.workflows.run_record.anomaly_threshold import measure_threshold
from dlexp.workflows.run_record.drift import check_resumable, check_resume_drift, finished_text, refuse_trial
from dlexp.workflows.run_record.write import experiment_facts, metrics_of, write_request
from dlexp.workflows.sample.while_training import check_sample_pictures, sample_pictures, write_pictures
from dlexp.workflows.train.auto import resolve_auto, with_placeholders
from dlexp.workflows.train.crash import capsule_writer
from dlexp.workflows.train.run_header import run_facts
from dlexp.workflows.train.snapshots import snapshots
from dlexp.workflows.train.trackers import Loggers, check_loggers
from dlexp.workflows.train.undefined_monitor import no_best_epoch, undefined_epochs, undefined_metrics


@dataclass(frozen=True)
class Request:
    """A new run.

    Attributes:
        overrides: The overrides, as typed.
        command: The command line.
        run_dir: The directory of the run, None for a new one in outputs/.
        trusted: Trusted packages.
        changes: The changes relative to the run that it repeats.
        allow_changes: Whether runs of a group are resumed even if code, package versions or hardware have changed.
        bundle: The data, None to read it.
        together: Number of runs that are trained in turn, of which this is one.
    """

    overrides: tuple[str, ...]
    command: tuple[str, ...]
    run_dir: Path | None = None
    trusted: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    allow_changes: bool = False
    bundle: DataBundle | None = None
    together: int = 1


def train(config: RunConfig, request: Request, reporter: Reporter, stop: StopRequest | None = None) -> dict[str, Any]:
    """Train a new run; returns its summary.

    Args:
        config: The configuration.
        request: Command and directory of the run.
        reporter: Receives the progress.
        stop: The stop request, None for signals only.
    """
    return follow(training(config, request, reporter, StopRequest() if stop is None else stop))


def training(
    config: RunConfig,
    request: Request,
    reporter: Reporter,
    stop: StopRequest,
    on_ready: Callable[[Experiment, RunDir], None] = lambda experiment, run: None,
) -> Course[dict[str, Any]]:
    """The course of `train`; `on_ready` is called before the first update."""
    if request.run_dir is not None:
        refuse_occupied(request.run_dir)
    check_loggers(config)
    config, found = resolve_auto(config, request.trusted, reporter)
    experiment = prepared(config, request.trusted, request.bundle)
    setup = prepare_training(
        experiment
    )  # before creating a directory: optimizer and schedule may have invalid settings
    check_sample_pictures(experiment)
    run = RunDir.create("train", config.run_name, request.run_dir)
    with run.lock():
        refuse_occupied(run.path)  # another process may have used the directory in the meantime
        found.write(run.path, config)
        write_request(run, experiment, request.overrides, request.command)
        run.point_latest()
        run.list_elsewhere(reporter.say)
        say_changes(request.changes, reporter)
        on_ready(experiment, run)
        return (yield from _run(run, experiment, setup, reporter, stop, together=request.together))


def resume(
    run: RunDir,
    config: RunConfig,
    trusted: Sequence[str],
    reporter: Reporter,
    stop: StopRequest | None = None,
    *,
    allow_changes: bool = False,
    bundle: DataBundle | None = None,
    changes: Sequence[Change] = (),
) -> dict[str, Any]:
    """Resume a run in its own directory; returns its summary. A finished run is left unchanged.

    Args:
        run: The run.
        config: The configuration to resume with.
        trusted: Trusted packages.
        reporter: Receives the progress.
        stop: The stop request, None for signals only.
        allow_changes: Whether to resume even if code, package versions or hardware have changed.
        bundle: The data, None to read it.
        changes: The changes of the configuration, which are reported once nothing refuses to resume.

    Raises:
        DataError: The data has changed; nothing is written.
        ConfigError: Changes that are not allowed, or that contradict the checkpoint; nothing is written.
    """
    again = Request((), (), run.path, tuple(trusted), tuple(changes), allow_changes, bundle)
    return follow(resuming(config, again, reporter, StopRequest() if stop is None else stop))


def resuming(
    config: RunConfig,
    request: Request,
    reporter: Reporter,
    stop: StopRequest,
    on_ready: Callable[[Experiment, RunDir], None] = lambda experiment, run: None,
) -> Course[dict[str, Any]]:
    """The course of `resume` of the run in `request.run_dir`; `on_ready` is called before the first update."""
    assert request.run_dir is not None
    run, trusted, bundle = RunDir(request.run_dir), request.trusted, request.bundle
    refuse_trial(run)
    refuse_onnx(config)
    with run.lock():
        say = _both(MetricsLog(run.path).say, reporter.say)
        saved = CheckpointStore(run / "checkpoints", say).load_last()
        if check_resumable(run, config, saved) and saved is not None:
            reporter.say(finished_text(run, saved))
            return read_run_file(run / "summary.json", needs=OF_AN_END)
        check_loggers(config)
        # Before the first checkpoint, the initial weights are still needed.
        experiment = assemble(config, trusted, bundle) if saved is not None else prepared(config, trusted, bundle)
        changed = check_resume_drift(run, experiment, request.allow_changes, reporter.say)
        setup = prepare_training(experiment)
        check_sample_pictures(experiment)
        if saved is not None:
            with naming(run / "checkpoints" / "last.pt"):
                setup.state.load_state_dict(saved)
        say_changes(request.changes, reporter)
        write_request(run, experiment, None, None, changed)
        run.point_latest()
        run.list_elsewhere(reporter.say)
        on_ready(experiment, run)
        return (yield from _run(run, experiment, setup, reporter, stop, saved, request.together))


def train_prepared(
    run: RunDir, setup: TrainingSetup, reporter: Reporter, stop: StopRequest | None = None
) -> dict[str, Any]:
    """Train an experiment whose weights and locked directory are ready; returns its summary."""
    return follow(_run(run, setup.experiment, setup, reporter, StopRequest() if stop is None else stop))


def say_changes(changes: Sequence[Change], reporter: Reporter) -> None:
    """Report the changes relative to the run that is repeated or resumed, one per line."""
    for change in changes:
        reporter.say(f"changed: {change.path}: {shown(change.before)} -> {shown(change.after)}")


def dry_run(config: RunConfig, trusted: Sequence[str]) -> dict[str, Any]:
    """Build everything and make one update with the first batch, in memory; returns facts about the experiment.

    Auto values are replaced by placeholders.
    """
    check_loggers(config)
    experiment = prepared(with_placeholders(config), trusted)
    setup = prepare_training(experiment)
    check_sample_pictures(experiment)
    state = setup.state
    begun = time.perf_counter()
    state.train_mode()
    train_step(experiment.task, state, [next(setup.batches.epoch(0))], setup.rules)
    seconds = time.perf_counter() - begun
    loss = {name: round(value, 6) for name, value in state.sums.means().items()}
    updates = setup.steps_per_epoch * config.trainer.epochs
    found = {"go": True, "first_batch": loss, "first_update_seconds": round(seconds, 3), "updates": updates}
    found |= {"interpretation": experiment.interpretation, "notes": [*experiment.bundle.notes, *experiment.notes]}
    return found | experiment_facts(experiment)


def _run(
    run: RunDir,
    experiment: Experiment,
    setup: TrainingSetup,
    reporter: Reporter,
    stop: StopRequest,
    saved: Mapping[str, Any] | None = None,
    together: int = 1,
) -> Course[dict[str, Any]]:
    """Train in a locked directory; returns the summary. `saved` is the loaded checkpoint, None for a new run."""
    config, reporter = experiment.config, unbroken(reporter, stop)
    log = MetricsLog(run.path)
    say = _both(log.say, reporter.say)
    store = CheckpointStore(run / "checkpoints", say)
    loggers = Loggers(run, experiment, say)
    with loggers, run.recording(config.trainer.epochs), stop:
        state = setup.state
        if saved is not None:
            set_global_state(saved["random"])  # code run since then may have used the generators
            run.beat(state.epoch)  # the status of a killed run may be older than its checkpoint
        log.rewind(state.epoch, state.step)
        loggers.begin(state.step)
        if graphs := setup.graphs:
            graphs.say = say
        plan = setup.plan(
            observers=(
                _recorder(run, log, loggers, config),
                undefined_epochs(say),
                *watchers(run, setup, say),
                *sample_pictures(run, setup, say),
                *snapshots(run, setup),
                reporter.observe,
            ),
            recovery=_recovery(run, experiment, log, say),
        )
        for note in (*experiment.bundle.notes, *experiment.notes):
            log.say(note)
        reporter.begin(_header(run, setup, log))
        try:
            with BackgroundCheckpoints(store, together) as checkpoints:
                try:
                    reason = yield from course(plan, state, checkpoints, stop)
                finally:
                    log.flush()
        except Interrupted as error:
            log.say(str(error))
            again = command("train", "--resume", run.path)
            raise Interrupted(f"{error}. Resume with {again}", error.exit_code) from None
        except Exception as error:
            if isinstance(error, Diverged) and config.trainer.on_nonfinite == "stop":
                _advise(error, run)
            log.say("; ".join([str(error) or type(error).__name__, *getattr(error, "__notes__", ())]))
            raise
        finally:
            reporter.end()
        log.say(reason)
        if graphs:
            log.say(graphs.counts.text())
        return _finish(run, setup, store, loggers, reason, _both(log.say, reporter.say))


def _header(run: RunDir, setup: TrainingSetup, log: MetricsLog) -> RunFacts:
    """What a run begins with, which its log has as well."""
    state = setup.state
    header = run_facts(run, setup.experiment, state, len(setup.batches))
    texts = "; ".join(f"{label} {text}" for label, text in header.facts.items() if not label.startswith("note"))
    log.say(f"training from epoch {state.epoch + 1}, batch {state.batch}: {texts}")
    return header


def _advise(error: Diverged, run: RunDir) -> None:
    """Add the commands that continue a run that is not finite, and that find the cause."""
    error.add_note(f"Skip the update with {command('train', '--resume', run.path, 'trainer.on_nonfinite=skip')}")
    error.add_note(f"Find the cause with {command('doctor', run.path)}")


def _finish(
    run: RunDir,
    setup: TrainingSetup,
    checkpoints: CheckpointStore,
    loggers: Loggers,
    reason: str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Restore the best weights, evaluate the test split if requested, and write the summary."""
    run.check_whole()
    experiment, state = setup.experiment, setup.state
    best, config = checkpoints.load_best(), experiment.config
    if best is None:
        raise no_best_epoch(run.path, config.monitor, state.epoch)
    load_weights(experiment.networks, best["networks"])
    measure_threshold(run, experiment, say)
    (columns, rows), pictures = read_metrics(run / "metrics.csv"), Pictures()
    pictures.write(run / "plots" / "curves.png", partial(curves, columns, rows, state.best.epoch, config.monitor))
    write_pictures(run, experiment, pictures)
    summary = {
        "run": str(run.path),
        "reason": reason,
        "monitor": config.monitor,
        "best_epoch": state.best.epoch,
        "best": best["metrics"],
        "epochs": state.epoch,
        "updates": state.step,
        "skipped_updates": state.nonfinite.skipped,
        "rollbacks": state.nonfinite.rollbacks,
        "seconds": round(sum(float(row["seconds"]) for row in rows), 3),
        **({"one_graph": setup.graphs.counts.as_dict()} if setup.graphs else {}),
        **experiment_facts(experiment),
    }
    reasons = undefined_metrics(experiment, best["metrics"])
    undefined = {f"val/{name}": reason for name, reason in reasons.items()}
    if config.trainer.test:
        report_state = experiment.metrics.report_state()
        result = evaluate(
            experiment.task,
            experiment.networks,
            experiment.split("test"),
            experiment.precision,
            report_state,
            seed=config.seed,
        )
        content = write_evaluation(run, experiment, ("test", "best"), result)
        pictures.undrawn += content.get("undrawn", ())
        named = [name for name in best["metrics"] if content["metrics"].get(name) is not None]
        summary["test"] = result.metrics | {name: content["metrics"][name] for name in named}
        undefined |= {
            f"test/{name}": reason for name, reason in content["undefined"].items() if name in summary["test"]
        }
    if undefined:
        summary["undefined"] = undefined
    if trackers := loggers.finish(metrics_of(summary)):
        summary["loggers"] = trackers
    for problem in pictures.undrawn:
        say(problem)
    write_json(run / "summary.json", summary)
    return summary


def _recorder(run: RunDir, log: MetricsLog, loggers: Loggers, config: RunConfig) -> Observer:
    """An observer that writes the metrics files, train.log and the heartbeat, and sends metrics to the trackers."""

    def record(event: StepRecord | EpochRecord) -> None:
        if isinstance(event, EpochRecord):
            log.epoch(event.values)
            log.say(epoch_line(event))
            loggers.record(event.values)
            run.check_whole()
            run.beat(event.epoch)
        elif event.step % config.logger.every_steps == 0:
            means = {f"train/{name}": value for name, value in event.means().items()}
            values = {"epoch": event.epoch, "step": event.step, **learning_rate_columns(event.learning_rates), **means}
            log.step(values)
            if config.trainer.save_every_steps:  # a checkpoint may follow, after which these steps are not repeated
                log.flush()
            loggers.record(values, "step/")
            run.beat()

    return record


def _recovery(run: RunDir, experiment: Experiment, log: MetricsLog, say: Callable[[str], None]) -> RecoveryHooks:
    """The reaction to a step that fails; each is reported, and rows of updates that were rolled back are removed."""

    def on_event(event: NonFiniteEvent) -> None:
        say(event.message)
        if event.is_rolled_back:
            log.rewind(event.epoch, event.step)

    return recovery_hooks(experiment, on_event, capsule_writer(run, experiment))


def _both(first: Callable[[str], None], second: Callable[[str], None]) -> Callable[[str], None]:
    def say(text: str) -> None:
        first(text)
        second(text)

    return say
