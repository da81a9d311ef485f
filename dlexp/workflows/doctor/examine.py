"""A case is made of a run, or of the words that would start one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.config.compose import load
from dlexp.config.derive import repeat
from dlexp.config.files.catalog import Catalog
from dlexp.config.saved import load_saved
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import DataBundle
from dlexp.diagnosis.case import Case, NetworkChange, NetworkMeasure, RunSettings, Start, Trace, Twin, Twins
from dlexp.engine.state import load_weights
from dlexp.errors import DlexpError
from dlexp.findings import counted
from dlexp.text.quoting import command, value
from dlexp.workflows.doctor.examined import Examined
from dlexp.workflows.doctor.history import is_trial, read_history
from dlexp.workflows.doctor.trial_configs import configured_by
from dlexp.workflows.doctor.trials import Trials
from dlexp.workflows.run_record.drift import check_evaluated
from dlexp.workflows.run_record.other_data import data_as_in

_NEEDED = ("trainer.epochs",)  # the schedule, and what a trial is compared with, are of this length
_BRIEF_SECONDS = 25.0  # of the trials of a pre-flight, before the last one


@dataclass(frozen=True)
class ExamineRequest:
    """What is examined, and how.

    Attributes:
        changes: Overrides of a finished run, such as trainer.device.
        trusted: Trusted packages.
        allow_changes: Whether changed data and an edited configuration are allowed.
        updates: Updates that are made again and that a trial makes; None for as many as pay.
        is_brief: Whether a large network makes fewer updates and no trials, so that a minute is enough.
        options: Options of the command that a remedy must repeat, such as --trust and a package.
        say: Receives what is being done.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    trusted: tuple[str, ...] = ()
    allow_changes: bool = False
    updates: int | None = None
    is_brief: bool = False
    options: tuple[str, ...] = ()
    say: Callable[[str], None] = field(default=lambda text: None)

    @property
    def words(self) -> tuple[str, ...]:
        """The overrides as KEY=VALUE, which trials and remedies repeat: the data may have moved."""
        return tuple(f"{key}={value(content)}" for key, content in self.changes.items())


def typed_options(config_dirs: Iterable[str | Path], trust: Iterable[str]) -> tuple[str, ...]:
    """The options of a command line that finds these directories and trusts these packages."""
    pairs = [("--config-dir", str(folder)) for folder in config_dirs] + [("--trust", package) for package in trust]
    return tuple(part for pair in pairs for part in pair)


def case_of_run(run: RunDir, catalog: Catalog, request: ExamineRequest) -> Case:
    """Everything that is measured of a run; its directory is left as it is.

    Raises:
        ConfigError: The configuration was edited, or does not fit any more.
        DataError: The data cannot be read, or have changed.
    """
    request.say("data and network")
    config = load_saved(run / "config.yaml", dict(request.changes))
    bundle = data_as_in(run, config, request.trusted)
    examined, notes = _at_start(config, request, bundle)
    check_evaluated(run, examined.experiment, request.changes, request.allow_changes, _NEEDED)
    updates = request.updates or examined.trial_updates()
    knows_start = not notes
    if knows_start:
        request.say(f"the first {counted(updates, 'update')}")
    start = examined.measure() if knows_start else None
    first = examined.train(updates) if knows_start else None
    end, last, stored = _at_end(run, config, request, bundle, notes)
    notes += _unfinished(run)

    def compose(words: tuple[str, ...]) -> RunConfig:
        return repeat(run.path, with_changes(request.words, words), catalog)[0]

    configure = configured_by(config, compose)
    facts, history = examined.facts(), read_history(run, config)
    both, say = (start, end), request.say
    twin: Twins = Trials(configure, request.trusted, bundle, updates=updates, stored=stored, measured=both, say=say)
    if facts.phases > 1:
        twin, notes = _no_trials, [*notes, _of_phases(facts)]
    constant, ideal = examined.constant_loss(), examined.ideal()
    return Case(facts, bundle, twin, start, first, end, last, history, tuple(notes), constant, ideal)


def _of_phases(facts: RunSettings) -> str:
    return (
        f"no trials were made: an update has {facts.phases} phases, whose losses need not fall as the run gets better"
    )


def _unfinished(run: RunDir) -> list[str]:
    """A note where more epochs may follow those that are judged."""
    if is_trial(run):
        return [f"a trial of a study keeps no weights; to train it again: {command('train', '--from', run.path)}"]
    status = run.status()
    done = f"after {status.epoch} of {counted(status.epochs, 'epoch')}"
    if status.state == "running":
        return [f"the run is still running: it was judged {done}"]
    if status.state == "interrupted":
        return [f"the run was interrupted {done}; to continue it: {command('train', '--resume', run.path)}"]
    return []


def case_of_words(words: Sequence[str], catalog: Catalog, request: ExamineRequest) -> Case:
    """Everything that can be measured before a run: its data, its initial network and its first updates.

    Raises:
        ConfigError: The words do not make a run.
        DataError: The data cannot be used.
    """
    request.say("data and network")
    config = load(tuple(words), catalog)
    examined = Examined.prepared(config, request.trusted, None)
    bundle = examined.experiment.bundle
    enough = request.updates or examined.trial_updates()
    updates = min(enough, examined.brief_updates()) if request.is_brief else enough
    request.say(f"the first {counted(updates, 'update')}")
    start, first = examined.measure(), examined.train(updates)
    constant, ideal, facts = examined.constant_loss(), examined.ideal(), examined.facts()
    if updates < enough or facts.phases > 1:
        note = f"no trials were made: {counted(enough, 'update')} of this network take longer than a pre-flight"
        note = note if facts.phases == 1 else _of_phases(facts)
        return Case(facts, bundle, _no_trials, start, first, notes=(note,), constant_loss=constant, ideal=ideal)

    def compose(changed: tuple[str, ...]) -> RunConfig:
        return load(with_changes(words, changed), catalog)

    configure = configured_by(config, compose)
    seconds = _BRIEF_SECONDS if request.is_brief else inf
    twin = Trials(
        configure, request.trusted, bundle, updates=updates, measured=(start,), say=request.say, seconds=seconds
    )
    return Case(facts, bundle, twin, start, first, constant_loss=constant, ideal=ideal)


def _no_trials(
    *words: str, start: Start = "initial", updates: int | None = None, change: NetworkChange | None = None
) -> Twin:
    return Twin(words, problem="no trials are made")


def with_changes(words: Sequence[str], changed: Sequence[str]) -> tuple[str, ...]:
    """The words, without those that `changed` gives anew, and `changed`."""
    names = {word.partition("=")[0] for word in changed}
    return (*(word for word in words if word.partition("=")[0] not in names), *changed)


def _at_start(config: RunConfig, request: ExamineRequest, bundle: DataBundle) -> tuple[Examined, list[str]]:
    """The run before its first update; with other initial weights and a note where its own are gone."""
    try:
        return Examined.prepared(config, request.trusted, bundle), []
    except DlexpError as error:
        if config.init_from is None:
            raise
        examined = Examined.prepared(replace(config, init_from=None), request.trusted, bundle)
        examined.initial = None
        return examined, [f"the initial weights are unknown: {error}"]


def _at_end(
    run: RunDir, config: RunConfig, request: ExamineRequest, bundle: DataBundle, notes: list[str]
) -> tuple[NetworkMeasure | None, Trace | None, Path | None]:
    """The measures with the last stored weights, some updates from there, and the checkpoint."""
    store = CheckpointStore(run / "checkpoints", lambda text: None)
    try:
        saved = store.load_last(has_lock=False)
    except DlexpError as error:
        notes.append(f"the stored weights are unknown: {error}")
        return None, None, None
    if saved is None:
        is_new = run.status().epoch == 0
        if not is_trial(run):
            notes.append(f"no weights are stored: {'the run has finished no epoch' if is_new else 'they were removed'}")
        return None, None, None
    examined, _ = _at_start(config, request, bundle)
    try:
        examined.setup.state.load_state_dict(saved, allow_nonfinite=True)
    except DlexpError as error:
        notes.append(f"the last updates are unknown: {error}")
        load_weights(examined.networks, saved["networks"], allow_nonfinite=True)
    path = run / "checkpoints" / "last.pt"
    updates = request.updates or examined.trial_updates()
    request.say(f"the next {counted(updates, 'update')} from the last weights")
    end = examined.measure()
    return end, examined.train(updates), path
