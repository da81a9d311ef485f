"""What has changed since a run began: its data, its configuration, the code, the versions and the machine.

What decides bits stops a run from going on until the user allows it; the rest is told. Other data stop it always: its
samples were dealt to training, validation and test by another split. An evaluation only reads, so code and machine are
told, and other data, or a configuration that was edited by hand, stop it until the user allows them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from dlexp.artifacts.files.reading import is_there
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.run_files import LOGGERS_FILE, read_run_file
from dlexp.assemble.experiment import Experiment
from dlexp.config.derive import CHANGEABLE, Change, differences
from dlexp.config.schema.run import RunConfig
from dlexp.errors import ConfigError, DataError, DlexpError, Problem, message_of
from dlexp.specs import ClassSpec
from dlexp.text.quoting import command
from dlexp.workflows.run_record.contradictions import Progress, check_changes, is_continued
from dlexp.workflows.run_record.write import present

FLAG = "--allow-changes"
DATA = ("data_fingerprint", "split_hash", "outputs")
_BITS = ("code", "torch", "cuda", "gpu", "threads", "device", "precision", "channels_last", "compile", "tf32")
_TOLD = ("dlexp", "commit", "python", "system", "host")
# What follows from trainer.device: to name another one on the line is to want another one.
_OF_DEVICE = ("device", "precision", "cuda", "gpu", "threads", "channels_last", "compile", "tf32")
_KEYS = {"threads": "trainer.threads"}  # what can be put back by a word on the line of a run that goes on
_SHOWN_CHARACTERS = 12  # of a hash


def check_resume_drift(
    run: RunDir, experiment: Experiment, allowed: bool, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Tell what has changed since the run last wrote meta.json; returns it, for meta.json to keep.

    Raises DataError for other data; ConfigError with everything that would change bits, unless it is `allowed`.
    """
    before, now = _meta(run), present(experiment)
    data = _changes(before, now, DATA)
    if data:
        raise DataError(
            f"the data has changed since {run.path} began ({_listed(data)})",
            remedy=f"put the old data back, or start anew with {command('train', '--from', run.path)}",
            code="data-changed",
        )
    config = _of_config(before, experiment, CHANGEABLE)
    other_device = any(change.path == "trainer.device" for change in _of_config(before, experiment, ()))
    free = _OF_DEVICE if other_device else ()
    bits = _changes(before, now, [name for name in _BITS if name not in free])
    breaking = [*config, *bits]
    if breaking and not allowed:
        why = "going on would not give the bits of a run never stopped"
        raise ConfigError([_refused(change, run, why) for change in breaking])
    found = [*breaking, *_changes(before, now, (*free, *_TOLD))]
    for change in found:
        say(f"changed since this run began: {describe(change)}")
    return [vars(change) for change in found]


def check_resumable(run: RunDir, config: RunConfig, saved: Mapping[str, Any] | None) -> bool:
    """Whether the run is finished, and nothing is left to train.

    saved  its checkpoint, None before the first
    Raises ConfigError with every change since the run was last written that its state contradicts.
    """
    if saved is None:
        return False
    before, kept = _meta(run).get("config"), run / LOGGERS_FILE
    tracked = read_run_file(kept) if is_there(kept) else {}
    names = [name for name, known in tracked.items() if isinstance(known, Mapping) and known.get("id")]
    progress = Progress(run.path, saved, run.status().state == "finished", names)
    try:
        check_changes(progress, dict(config.tree) if before is None else before, config)
        return progress.is_over and not is_continued(progress, config)
    except (KeyError, TypeError, AttributeError) as error:  # a file of torch.save with other contents
        raise DlexpError(
            f"{run / 'checkpoints'} holds no state of a training: {message_of(error)}", code="corrupted"
        ) from error


def finished_text(run: RunDir, saved: Mapping[str, Any]) -> str:
    """What is said of a run with nothing left to train."""
    epoch, status = saved["position"]["epoch"], run.status()
    is_early = epoch < status.epochs
    how = "early stopping ended it" if is_early else "a larger trainer.epochs would extend it"
    return f"{run.path} is already finished ({epoch} epochs); {how}"


def check_evaluated(run: RunDir, experiment: Experiment, changed: Collection[str], allowed: bool) -> list[Change]:
    """What has changed since the run was trained.

    changed  the keys that the user changes for this evaluation; with data.path or data.folder other data are meant
    Raises DataError for other data that nobody asked for and for other classes or targets, ConfigError for a
    configuration that was edited by hand, unless it is `allowed`.
    """
    before, now = _meta(run), present(experiment)
    meant = ("data_fingerprint", "split_hash") if {"data.path", "data.folder"} & set(changed) else ()
    data = _changes(before, now, [name for name in DATA if name not in meant])
    if any(change.path == "outputs" for change in data) and isinstance(experiment.bundle.spec.targets, ClassSpec):
        what = f"{run.path} has the classes {before['outputs']}, and these data {now['outputs']}"
        raise DataError(what, remedy="evaluate on data with the same classes", code="incompatible-data")
    if data and not allowed:
        raise DataError(
            f"the data has changed since {run.path} was trained ({_listed(data)})",
            remedy=f"put the old data back, or add {FLAG} to evaluate on what is there now",
            code="data-changed",
        )
    return [*data, *_changes(before, now, meant), *_used(run, experiment, (before, now), changed, allowed)]


def check_used(run: RunDir, experiment: Experiment, changed: Collection[str], allowed: bool) -> list[Change]:
    """What has changed since the run was trained, its data left aside.

    changed  the keys that the user changes for this use
    Raises ConfigError for a configuration that was edited by hand, unless it is `allowed`.
    """
    return _used(run, experiment, (_meta(run), present(experiment)), changed, allowed)


def _used(
    run: RunDir,
    experiment: Experiment,
    states: tuple[Mapping[str, Any], Mapping[str, Any]],
    changed: Collection[str],
    allowed: bool,
) -> list[Change]:
    before, now = states
    config = _of_config(before, experiment, {*changed, *CHANGEABLE})
    if config and not allowed:
        why = "the weights belong to the old value"
        raise ConfigError([_refused(change, run, why) for change in config])
    return [*config, *_changes(before, now, (*_BITS, *_TOLD))]


def _meta(run: RunDir) -> Mapping[str, Any]:
    """meta.json; {} where a run was ended before it wrote one, and so before it trained."""
    path = run / "meta.json"
    return read_run_file(path) if is_there(path) else {}


def _changes(before: Mapping[str, Any], now: Mapping[str, Any], names: Sequence[str]) -> list[Change]:
    """What differs under `names`; what an older run did not write down is not known to differ."""
    known = [name for name in names if name in before]
    return differences({name: before[name] for name in known}, {name: now[name] for name in known})


def _of_config(before: Mapping[str, Any], experiment: Experiment, free: Collection[str]) -> list[Change]:
    """What differs in the configuration, the keys in `free` left out."""
    if "config" not in before:
        return []
    found = differences(before["config"], dict(experiment.config.tree))
    return [change for change in found if change.path not in free]


def _refused(change: Change, run: RunDir, why: str) -> Problem:
    rule = f"was {_short(change.before)} when {run.path} was last written; {why}"
    key = _KEYS.get(change.path)
    back = f"put it back with {key}={_short(change.before).lower()}" if key else "put it back"
    return Problem(
        change.path, _short(change.after), rule, f"{back}, or add {FLAG} to go on all the same", code="data-changed"
    )


def _listed(changes: Sequence[Change]) -> str:
    return ", ".join(f"{change.path} was {_short(change.before)}, is {_short(change.after)}" for change in changes)


def describe(change: Change) -> str:
    """A change in a line, hashes cut short."""
    return f"{change.path}: {_short(change.before)} -> {_short(change.after)}"


def _short(value: object) -> str:
    is_hash = isinstance(value, str) and len(value) == 64 and all(c in "0123456789abcdef" for c in value)
    return str(value)[:_SHOWN_CHARACTERS] if is_hash else str(value)
