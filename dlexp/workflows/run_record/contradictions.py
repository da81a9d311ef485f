"""Changes that the saved state of a run contradicts: what is trained already cannot be trained differently.

A change that a run may have while it is resumed, be it by a word of the line or by an edited config.yaml with
`--allow-changes`, is compared with the checkpoint before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlexp.config.derive import Change, differences
from dlexp.config.schema.run import RunConfig
from dlexp.config.schema.tree import shown
from dlexp.errors import ConfigError, Problem
from dlexp.text.quoting import command, setting

_OLD_VALUE = "put the old value back, {before}, or start a new run: {anew}"
_TRACKERS = {
    "mlflow": ("logger.mlflow_uri", "logger.mlflow_experiment"),
    "wandb": ("logger.wandb_project", "logger.wandb_entity"),
}
# Schedules that leave the rates alone which the optimizer's state brings back.
_LEAVES_RATES = ("dlexp.optim.schedules.smooth.constant", "dlexp.optim.schedules.smooth.plateau")
_PATIENCE = "regularization.early_stopping.patience"


@dataclass(frozen=True)
class Progress:
    """How far a run is, as its checkpoint and its files tell.

    begun     epochs of which at least one update is made
    is_over   whether its last word is that it finished
    tracked   trackers that hold a run of theirs for it
    state     the checkpoint
    """

    folder: Path
    state: Mapping[str, Any]
    is_over: bool = False
    tracked: Sequence[str] = field(default_factory=tuple)

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return int(self.state["position"]["epoch"])

    @property
    def is_inside_epoch(self) -> bool:
        """Whether an epoch is open."""
        return bool(self.state["position"]["batch"])

    @property
    def begun(self) -> int:
        """Epochs finished, and the one that is open."""
        return self.epoch + self.is_inside_epoch

    @property
    def updates(self) -> int:
        """Updates made."""
        return int(self.state["position"]["step"])

    def waited_enough(self, patience: int | None) -> bool:
        """Whether early stopping with `patience` ends the run here."""
        return patience is not None and self.epoch > 0 and self.state["best"]["waited"] >= patience


def check_changes(progress: Progress, before: Mapping[str, Any], config: RunConfig) -> None:
    """Raise ConfigError with every change against the configuration `before` that the state contradicts.

    Raises it too where a finished run has nothing to do and something was changed: the change would do nothing.
    """
    changes = differences(before, dict(config.tree))
    problems: list[Problem] = []
    for change in changes:
        rule, remedy = _contradiction(change, progress, config)
        if rule:
            problems.append(Problem(change.path, shown(change.after), rule, remedy, code="incompatible-run"))
    if not any(problem.where == "trainer.epochs" for problem in problems) and config.trainer.epochs < progress.begun:
        problems.append(Problem("trainer.epochs", str(config.trainer.epochs), *_too_few(progress)))
    if not problems and progress.is_over and not is_continued(progress, config):
        problems = [_without_effect(change, progress) for change in changes]
    if problems:
        raise ConfigError(problems)


def is_continued(progress: Progress, config: RunConfig) -> bool:
    """Whether epochs are left to train."""
    patience = config.regularization.early_stopping.patience
    return config.trainer.epochs > progress.epoch and not progress.waited_enough(patience)


def _contradiction(change: Change, progress: Progress, config: RunConfig) -> tuple[str, str]:
    """(rule, remedy) of a change that the state contradicts; ("", "") of any other."""
    if not progress.updates:
        return "", ""
    for applies, judge in _RULES:
        if applies(change.path):
            found = judge(change, progress, config)
            if found is not None:
                return found if isinstance(found, tuple) else (found, _back(change, progress))
    return "", ""


def _epochs(change: Change, progress: Progress, config: RunConfig) -> tuple[str, str] | None:
    patience = config.regularization.early_stopping.patience
    if config.trainer.epochs < progress.begun:
        return _too_few(progress)
    if config.trainer.epochs > progress.epoch and progress.waited_enough(patience) and _after(change) > progress.epoch:
        rule = f"early stopping ended the run after epoch {progress.epoch}: {_PATIENCE}={patience}"
        return rule, f"start a new run: {_anew(progress, change.path, change.after, f'{_PATIENCE}=null')}"
    return None


def _too_few(progress: Progress) -> tuple[str, str]:
    some = f", and epoch {progress.begun} has begun" if progress.is_inside_epoch else ""
    rule = f"must be at least {progress.begun}: {progress.epoch} epochs are already trained{some}"
    return rule, f"set trainer.epochs={progress.begun} or more"


def _patience(change: Change, progress: Progress, config: RunConfig) -> tuple[str, str] | None:
    waited = progress.state["best"]["waited"]
    if not progress.waited_enough(change.after):
        return None
    rule = f"must be greater than {waited}: the last {waited} epochs brought no improvement"
    return rule, f"set {_PATIENCE}={waited + 1} or more, or null"


def _monitor(change: Change, progress: Progress, config: RunConfig) -> str | None:
    best = progress.state["best"]
    if not progress.epoch or best["value"] is None:
        return None
    return f"the best epoch so far, {best['epoch']} ({best['value']:.4g}), was chosen by another metric"


def _average(change: Change, progress: Progress, config: RunConfig) -> str:
    return f"{progress.updates} updates are already averaged with the old value"


def _swa(change: Change, progress: Progress, config: RunConfig) -> str | None:
    if progress.state.get("average", {}).get("count"):
        return f"weights are already averaged, since an epoch before epoch {progress.begun + 1}"
    if change.path.endswith("start_epoch") and change.after is not None and change.after <= progress.begun:
        return f"must be greater than {progress.begun}, the epochs already begun"
    has_own_rate = any("inner" in schedule for schedule in progress.state["schedules"].values())
    given = config.regularization.swa
    if has_own_rate != (given.start_epoch is not None and given.lr is not None):
        return f"{progress.updates} updates were made by a schedule without this change"
    return None


def _optimizer(change: Change, progress: Progress, config: RunConfig) -> str | None:
    if change.path == "optim.lr" and config.scheduler.target not in _LEAVES_RATES:
        return None  # the schedule sets the rate of every update anew
    return f"the optimizer's state, of {progress.updates} updates, holds the old value"


def _schedule(change: Change, progress: Progress, config: RunConfig) -> str | None:
    key = change.path.partition(".")[2]
    if key == "_target_" or _follows_a_metric(progress):
        return f"the schedule's state, of {progress.updates} updates, belongs to the old value"
    return "the warm-up has already begun" if key.startswith("warmup") else None


def _follows_a_metric(progress: Progress) -> bool:
    return any(_innermost(schedule).get("per_epoch") for schedule in progress.state["schedules"].values())


def _innermost(schedule: Mapping[str, Any]) -> Mapping[str, Any]:
    while "inner" in schedule:
        schedule = schedule["inner"]
    return schedule


def _freezing(change: Change, progress: Progress, config: RunConfig) -> str | None:
    values = (change.before, change.after)
    if change.path == "trainer.unfreeze_epoch" and None not in values and min(values) > progress.begun:
        return None
    return f"{progress.updates} updates were made with other weights frozen"


def _position(change: Change, progress: Progress, config: RunConfig) -> str | None:
    if not progress.is_inside_epoch:
        return None
    return f"epoch {progress.begun} has begun, and its position counts batches in the old order and size"


def _initial(change: Change, progress: Progress, config: RunConfig) -> str:
    return f"has no effect: the weights come from the checkpoint after {progress.updates} updates"


def _nonfinite(change: Change, progress: Progress, config: RunConfig) -> tuple[str, str] | None:
    trainer, counts = config.trainer, progress.state.get("nonfinite", {})
    lacks_start = progress.is_inside_epoch and not progress.state.get("epoch_start")
    if change.path == "trainer.on_nonfinite" and trainer.on_nonfinite == "rollback" and lacks_start:
        rule = f"epoch {progress.begun} has begun, and the checkpoint does not hold the state at its start"
        return rule, "set trainer.on_nonfinite=skip"
    if trainer.on_nonfinite == "stop" or change.path != "trainer.nonfinite_limit":
        return None
    is_skip = trainer.on_nonfinite == "skip"
    number = int(counts.get("in_a_row" if is_skip else "attempt", 0))
    if number < trainer.nonfinite_limit:
        return None
    what = "updates in a row are already skipped" if is_skip else "rollbacks of this epoch are already made"
    return f"must be greater than {number}: {number} {what}", f"set trainer.nonfinite_limit={number + 1} or more"


def _tracker(change: Change, progress: Progress, config: RunConfig) -> str | None:
    name = next(name for name, keys in _TRACKERS.items() if change.path in keys)
    if name not in progress.tracked:
        return None
    return f"the {name} run of this training is already in the old place"


def _under(*prefixes: str) -> Callable[[str], bool]:
    return lambda path: any(path == prefix or path.startswith(f"{prefix}.") for prefix in prefixes)


_Judge = Callable[[Change, Progress, RunConfig], "str | tuple[str, str] | None"]
_RULES: tuple[tuple[Callable[[str], bool], _Judge], ...] = (
    (_under("trainer.epochs"), _epochs),
    (_under(_PATIENCE), _patience),
    (_under("trainer.monitor", "task.monitor"), _monitor),
    (_under("regularization.ema"), _average),
    (_under("regularization.swa"), _swa),
    (_under("optim"), _optimizer),
    (_under("scheduler"), _schedule),
    (_under("trainer.freeze", "trainer.freeze_layers", "trainer.unfreeze_epoch", "trainer.unfreeze_every"), _freezing),
    (_under("data.batch_size", "trainer.accumulate", "seed"), _position),
    (_under("init_from", "init_head", "init_strict"), _initial),
    (_under("trainer.on_nonfinite", "trainer.nonfinite_limit"), _nonfinite),
    (_under(*(key for keys in _TRACKERS.values() for key in keys)), _tracker),
)


def _without_effect(change: Change, progress: Progress) -> Problem:
    rule = f"has no effect: the run is finished ({progress.epoch} epochs)"
    remedy = f"leave it out, or start a new run: {_anew(progress, change.path, change.after)}"
    if change.path == "trainer.test":
        remedy = f"use {command('evaluate', progress.folder)}"
    return Problem(change.path, shown(change.after), rule, remedy, code="no-effect")


def _back(change: Change, progress: Progress) -> str:
    before = setting(change.path, change.before)
    return _OLD_VALUE.format(before=before, anew=_anew(progress, change.path, change.after))


def _anew(progress: Progress, path: str, value: object, *more: str) -> str:
    return command("train", "--from", progress.folder, (path, value), *more)


def _after(change: Change) -> int:
    return int(change.after)
