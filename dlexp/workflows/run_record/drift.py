"""Changes since a run was started: data, configuration, code, package versions and hardware.

Changes that affect the results prevent resuming, unless the user allows them; others are reported. Changed data always
prevents resuming, since its samples may be in other splits. Evaluation reports changes of code and hardware; changed
data or an edited configuration prevent it, unless the user allows them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from dlexp.artifacts.files.reading import is_there
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.run_files import LOGGERS_FILE, read_run_file
from dlexp.artifacts.runs.run_tree import study_of_trial
from dlexp.assemble.experiment import Experiment
from dlexp.config.derive import CHANGEABLE, Change, config_changes
from dlexp.config.schema.run import RunConfig
from dlexp.errors import ConfigError, DataError, DlexpError, Problem, message_of
from dlexp.specs import ClassSpec
from dlexp.tasks.decoding.options import DECODING_KEYS
from dlexp.text.quoting import command
from dlexp.workflows.run_record.contradictions import Progress, check_changes, is_continued
from dlexp.workflows.run_record.write import run_environment

FLAG = "--allow-changes"
DATA = ("data_fingerprint", "split_hash", "outputs")
_BITS = ("code", "torch", "cuda", "gpu", "threads", "device", "precision", "channels_last", "compile", "tf32")
_TEACHER = ("teacher_fingerprint",)  # only training reads it
_TOLD = ("dlexp", "commit", "python", "system", "host")
# Facts that depend on trainer.device and change with it.
_OF_DEVICE = ("device", "precision", "cuda", "gpu", "threads", "channels_last", "compile", "tf32")
_KEYS = {"threads": "trainer.threads"}  # facts that a key restores
_SHOWN_CHARACTERS = 12  # of a hash


def check_resume_drift(
    run: RunDir, experiment: Experiment, allowed: bool, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Report the changes since the run last wrote meta.json; returns them, for meta.json.

    Args:
        run: The run to resume.
        experiment: The experiment as it is now.
        allowed: Whether changes that affect the results are allowed.
        say: Receives the messages.

    Raises:
        DataError: The data has changed.
        ConfigError: All changes that affect the results, unless `allowed`.
    """
    before, now = _meta(run), run_environment(experiment)
    data = _changes(before, now, DATA)
    if data:
        raise DataError(
            f"the data has changed since {run.path} was started ({_listed(data)})",
            remedy=f"Restore the data, or start a new run with {command('train', '--from', run.path)}",
            code="data-changed",
        )
    config = _of_config(before, experiment, CHANGEABLE)
    other_device = any(change.path == "trainer.device" for change in _of_config(before, experiment, ()))
    free = _OF_DEVICE if other_device else ()
    bits = _changes(before, now, [name for name in _BITS if name not in free])
    breaking = [*config, *bits, *_changes(before, now, _TEACHER)]
    if breaking and not allowed:
        why = "resuming would not reproduce an uninterrupted run"
        raise ConfigError([_refused(change, run, why) for change in breaking])
    found = [*breaking, *_changes(before, now, (*free, *_TOLD))]
    for change in found:
        say(f"changed since this run was started: {describe(change)}")
    return [vars(change) for change in found]


def refuse_trial(run: RunDir) -> None:
    """Raise ConfigError for a trial, which its study trains, and whose result would no longer be that of the study."""
    if study_of_trial(run.path) is not None:
        rule, remedy = "is a trial of a study", f"Train it as a run of its own: {command('train', '--from', run.path)}"
        raise ConfigError.one("--resume", str(run.path), rule, remedy, code="incompatible-run")


def check_resumable(run: RunDir, config: RunConfig, saved: Mapping[str, Any] | None) -> bool:
    """Return whether the run has finished and there is nothing left to train.

    Args:
        run: The run to resume.
        config: The configuration to resume with.
        saved: Its checkpoint, None before the first.

    Raises:
        ConfigError: All changes since the run was last written that contradict its checkpoint.
    """
    if saved is None:
        _refuse_untrained(run)
        return False
    before, kept = _meta(run).get("config"), run / LOGGERS_FILE
    tracked = read_run_file(kept) if is_there(kept) else {}
    names = [name for name, known in tracked.items() if isinstance(known, Mapping) and known.get("id")]
    progress = Progress(run.path, saved, run.status().state == "finished", names)
    try:
        check_changes(progress, dict(config.tree) if before is None else before, config)
        return progress.is_over and not is_continued(progress, config)
    except (KeyError, TypeError, AttributeError) as error:  # a file written by torch.save with other contents
        raise DlexpError(
            f"{run / 'checkpoints'} is corrupted: not a training state: {message_of(error)}", code="corrupted"
        ) from error


def _refuse_untrained(run: RunDir) -> None:
    """Raise ConfigError for a run that was made of others without training: a mean of weights, or an adapted one."""
    path = run / "summary.json"
    if is_there(path) and read_run_file(path).get("epochs") == 0:
        line = command("train", "--from", run.path, f"init_from={run.path}")
        rule = "was made of other runs without training, so there is nothing to resume"
        raise ConfigError.one(
            "--resume", str(run.path), rule, f"Train on from its weights: {line}", code="incompatible-run"
        )


def finished_text(run: RunDir, saved: Mapping[str, Any]) -> str:
    """The message about a run with nothing left to train."""
    epoch, status = saved["position"]["epoch"], run.status()
    is_early = epoch < status.epochs
    how = "It was stopped early." if is_early else "Increase trainer.epochs to extend it."
    return f"{run.path} has already finished ({epoch} epochs). {how}"


def check_evaluated(
    run: RunDir, experiment: Experiment, changed: Collection[str], allowed: bool, needed: Collection[str] = ()
) -> list[Change]:
    """The changes since the run was trained, for an evaluation.

    Args:
        run: The trained run.
        experiment: The experiment as it is now.
        changed: The keys that are overridden; with data.path or data.folder, other data is intended.
        allowed: Whether changed data and an edited configuration are allowed.
        needed: Keys that a run may change when it is resumed, and that decide what is found here.

    Raises:
        DataError: The data has changed unintentionally, or has other classes or targets.
        ConfigError: The configuration was edited.
    """
    before, now = _meta(run), run_environment(experiment)
    meant = ("data_fingerprint", "split_hash") if {"data.path", "data.folder"} & set(changed) else ()
    data = _changes(before, now, [name for name in DATA if name not in meant])
    if any(change.path == "outputs" for change in data) and isinstance(experiment.bundle.spec.targets, ClassSpec):
        what = f"{run.path} was trained on the classes {before['outputs']}, but the data has {now['outputs']}"
        raise DataError(what, remedy="Evaluate on data with the same classes.", code="incompatible-data")
    if data and not allowed:
        raise DataError(
            f"the data has changed since {run.path} was trained ({_listed(data)})",
            remedy=f"Restore the data, or add {FLAG} to evaluate on the changed data.",
            code="data-changed",
        )
    return [*data, *_changes(before, now, meant), *_used(run, experiment, (before, now), changed, allowed, needed)]


def check_used(run: RunDir, experiment: Experiment, changed: Collection[str], allowed: bool) -> list[Change]:
    """The changes since the run was trained, apart from its data.

    Args:
        run: The trained run.
        experiment: The experiment as it is now.
        changed: The keys that are overridden.
        allowed: Whether an edited configuration is allowed.

    Raises:
        ConfigError: The configuration was edited.
    """
    return _used(run, experiment, (_meta(run), run_environment(experiment)), changed, allowed)


def _used(
    run: RunDir,
    experiment: Experiment,
    states: tuple[Mapping[str, Any], Mapping[str, Any]],
    changed: Collection[str],
    allowed: bool,
    needed: Collection[str] = (),
) -> list[Change]:
    before, now = states
    config = _of_config(before, experiment, {*changed, *CHANGEABLE} - set(needed))
    if config and not allowed:
        why = "the weights depend on the old value"
        raise ConfigError([_refused(change, run, why) for change in config])
    decoded = [
        change
        for change in _of_config(before, experiment, ())
        if change.path in DECODING_KEYS and change.path in changed
    ]
    return [*config, *decoded, *_changes(before, now, (*_BITS, *_TOLD))]


def _meta(run: RunDir) -> Mapping[str, Any]:
    """The content of meta.json; {} if the run ended before writing it, and so before training."""
    path = run / "meta.json"
    return read_run_file(path) if is_there(path) else {}


def _changes(before: Mapping[str, Any], now: Mapping[str, Any], names: Sequence[str]) -> list[Change]:
    """The differences of the facts `names`; facts missing in `before` are ignored."""
    known = [name for name in names if name in before]
    return config_changes({name: before[name] for name in known}, {name: now.get(name) for name in known})


def _of_config(before: Mapping[str, Any], experiment: Experiment, free: Collection[str]) -> list[Change]:
    """The differences of the configuration, without the keys in `free` and what is in their mappings."""
    if "config" not in before:
        return []
    found = config_changes(before["config"], dict(experiment.config.tree))
    within = tuple(f"{key}." for key in free)
    return [change for change in found if change.path not in free and not change.path.startswith(within)]


def _refused(change: Change, run: RunDir, why: str) -> Problem:
    rule = f"was {_short(change.before)} when {run.path} was last written; {why}"
    key = _KEYS.get(change.path)
    back = f"Restore it with {key}={_short(change.before).lower()}" if key else "Restore it"
    return Problem(
        change.path, _short(change.after), rule, f"{back}, or add {FLAG} to continue anyway.", code="data-changed"
    )


def _listed(changes: Sequence[Change]) -> str:
    return ", ".join(f"{change.path} was {_short(change.before)}, is {_short(change.after)}" for change in changes)


def describe(change: Change) -> str:
    """A change as text, with hashes shortened."""
    return f"{change.path}: {_short(change.before)} -> {_short(change.after)}"


def _short(value: object) -> str:
    is_hash = isinstance(value, str) and len(value) == 64 and all(c in "0123456789abcdef" for c in value)
    return str(value)[:_SHOWN_CHARACTERS] if is_hash else str(value)
