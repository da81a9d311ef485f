"""Changes of a resumed run that contradict its checkpoint.

Changes on the command line, or in an edited config.yaml with `--allow-changes`, are compared with the checkpoint before
anything is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlexp.config.derive import Change, config_changes
from dlexp.config.schema.run import RunConfig
from dlexp.config.schema.tree import shown
from dlexp.errors import ConfigError, Problem
from dlexp.text.quoting import command, setting

_OLD_VALUE = "Restore {before}, or start a new run with {restart}"
_TRACKERS = {
    "mlflow": ("logger.mlflow_uri", "logger.mlflow_experiment"),
    "wandb": ("logger.wandb_project", "logger.wandb_entity"),
}
# Schedules that keep the learning rates restored with the optimizer state.
_LEAVES_RATES = ("dlexp.optim.schedules.smooth.constant", "dlexp.optim.schedules.smooth.plateau")
_PATIENCE = "regularization.early_stopping.patience"


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    Attributes:
        folder: The run directory.
        state: The checkpoint.
        is_over: Whether the run has finished.
        tracked: Experiment trackers that have a run for it.
    """

    folder: Path
    state: Mapping[str, Any]
    is_over: bool = False
    tracked: Sequence[str] = field(default_factory=tuple)

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return int(self.state["position"]["epoch"])

    @property
    def is_inside_epoch(self) -> bool:
        """Return whether an epoch is in progress."""
        return bool(self.state["position"]["batch"])

    @property
    def begun(self) -> int:
        """Number of epochs that are finished or in progress."""
        return self.epoch + self.is_inside_epoch

    @property
    def updates(self) -> int:
        """Number of updates."""
        return int(self.state["position"]["step"])

    def waited_enough(self, patience: int | None) -> bool:
        """Return whether early stopping with `patience` ends the run here."""
        return patience is not None and self.epoch > 0 and self.state["best"]["waited"] >= patience


def check_changes(progress: Progress, before: Mapping[str, Any], config: RunConfig) -> None:
    """Refuse changes that contradict the checkpoint, or that have no effect on a finished run.

    Args:
        progress: The progress of the run.
        before: The configuration when the run was last written.
        config: The configuration to resume with.

    Raises:
        ConfigError: All such changes.
    """
    changes = config_changes(before, dict(config.tree))
    problems: list[Problem] = []
    for change in changes:
        rule, remedy = _contradiction(change, progress, config)
        if rule:
            problems.append(Problem(change.path, shown(change.after), rule, remedy, code="incompatible-run"))
    if not any(problem.where == "trainer.epochs" for problem in problems) and config.trainer.epochs < progress.begun:
        rule, remedy = _too_few(progress)
        given = str(config.trainer.epochs)
        problems.append(Problem("trainer.epochs", given, rule, remedy, code="incompatible-run"))
    if not problems and progress.is_over and not is_continued(progress, config):
        problems = [_without_effect(change, progress) for change in changes]
    if problems:
        raise ConfigError(problems)


def is_continued(progress: Progress, config: RunConfig) -> bool:
    """Return whether there are epochs left to train."""
    patience = config.regularization.early_stopping.patience
    return config.trainer.epochs > progress.epoch and not progress.waited_enough(patience)


def _contradiction(change: Change, progress: Progress, config: RunConfig) -> tuple[str, str]:
    """(rule, remedy) of a change that contradicts the checkpoint; ("", "") of any other."""
    if not progress.updates:
        return "", ""
    for applies, find in _RULES:
        if applies(change.path):
            found = find(change, progress, config)
            if found is not None:
                return found if isinstance(found, tuple) else (found, _back(change, progress))
    return "", ""


def _epochs(change: Change, progress: Progress, config: RunConfig) -> tuple[str, str] | None:
    patience = config.regularization.early_stopping.patience
    if config.trainer.epochs < progress.begun:
        return _too_few(progress)
    if config.trainer.epochs > progress.epoch and progress.waited_enough(patience) and _after(change) > progress.epoch:
        rule = f"early stopping ended the run after epoch {progress.epoch}: {_PATIENCE}={patience}"
        return (
            rule,
            f"Start a new run with {_restart_command(progress, change.path, change.after, f'{_PATIENCE}=null')}",
        )
    return None


def _too_few(progress: Progress) -> tuple[str, str]:
    some = f", and epoch {progress.begun} has started" if progress.is_inside_epoch else ""
    rule = f"must be at least {progress.begun}: {progress.epoch} epochs are finished{some}"
    return rule, f"Set trainer.epochs={progress.begun} or more."


def _patience(change: Change, progress: Progress, config: RunConfig) -> tuple[str, str] | None:
    waited = progress.state["best"]["waited"]
    if not progress.waited_enough(change.after):
        return None
    rule = f"must be greater than {waited}: the last {waited} epochs did not improve"
    return rule, f"Set {_PATIENCE}={waited + 1} or more, or null."


def _monitor(change: Change, progress: Progress, config: RunConfig) -> str | None:
    best = progress.state["best"]
    if not progress.epoch or best["value"] is None:
        return None
    return (
        f"cannot change: the best epoch so far, {best['epoch']} ({best['value']:.4g}), was selected by another metric"
    )


def _metrics(change: Change, progress: Progress, config: RunConfig) -> str | None:
    if not progress.epoch:
        return None
    return f"cannot change: metrics.csv has {progress.epoch} epochs without other metrics"


def _average(change: Change, progress: Progress, config: RunConfig) -> str:
    return f"cannot change: {progress.updates} updates were averaged with the old value"


def _swa(change: Change, progress: Progress, config: RunConfig) -> str | None:
    if progress.state.get("average", {}).get("count"):
        return f"cannot change: averaging has started before epoch {progress.begun + 1}"
    if change.path.endswith("start_epoch") and change.after is not None and change.after <= progress.begun:
        return f"must be greater than {progress.begun}, the number of epochs that have started"
    has_own_rate = any("inner" in schedule for schedule in progress.state["schedules"].values())
    given = config.regularization.swa
    if has_own_rate != (given.start_epoch is not None and given.lr is not None):
        return f"cannot change: {progress.updates} updates were made with a different schedule"
    return None


def _optimizer(change: Change, progress: Progress, config: RunConfig) -> str | None:
    if change.path == "optim.lr" and config.scheduler.target not in _LEAVES_RATES:
        return None  # the schedule sets the learning rate of every update
    return f"cannot change: the optimizer state after {progress.updates} updates depends on the old value"


def _schedule(change: Change, progress: Progress, config: RunConfig) -> str | None:
    key = change.path.partition(".")[2]
    if key == "_target_" or _follows_a_metric(progress):
        return f"cannot change: the scheduler state after {progress.updates} updates depends on the old value"
    return "cannot change: the warm-up has started" if key.startswith("warmup") else None


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
    return f"cannot change: {progress.updates} updates were made with other frozen layers"


def _position(change: Change, progress: Progress, config: RunConfig) -> str | None:
    if not progress.is_inside_epoch:
        return None
    return f"cannot change within epoch {progress.begun}: its position counts batches of the old order and size"


def _initial(change: Change, progress: Progress, config: RunConfig) -> str:
    return f"has no effect: the weights are restored from the checkpoint after {progress.updates} updates"


def _nonfinite(change: Change, progress: Progress, config: RunConfig) -> tuple[str, str] | None:
    trainer, counts = config.trainer, progress.state.get("nonfinite", {})
    lacks_start = progress.is_inside_epoch and not progress.state.get("epoch_start")
    if change.path == "trainer.on_nonfinite" and trainer.on_nonfinite == "rollback" and lacks_start:
        rule = f"cannot change within epoch {progress.begun}: the checkpoint has no state of its start to roll back to"
        return rule, "Set trainer.on_nonfinite=skip"
    if trainer.on_nonfinite == "stop" or change.path != "trainer.nonfinite_limit":
        return None
    is_skip = trainer.on_nonfinite == "skip"
    number = int(counts.get("in_a_row" if is_skip else "attempt", 0))
    if number < trainer.nonfinite_limit:
        return None
    what = "consecutive updates were skipped" if is_skip else "rollbacks of this epoch were made"
    return f"must be greater than {number}: {number} {what}", f"Set trainer.nonfinite_limit={number + 1} or more."


def _tracker(change: Change, progress: Progress, config: RunConfig) -> str | None:
    name = next(name for name, keys in _TRACKERS.items() if change.path in keys)
    if name not in progress.tracked:
        return None
    return f"cannot change: the {name} run of this training is stored at the old location"


def _under(*prefixes: str) -> Callable[[str], bool]:
    return lambda path: any(path == prefix or path.startswith(f"{prefix}.") for prefix in prefixes)


_Judge = Callable[[Change, Progress, RunConfig], "str | tuple[str, str] | None"]
_RULES: tuple[tuple[Callable[[str], bool], _Judge], ...] = (
    (_under("trainer.epochs"), _epochs),
    (_under(_PATIENCE), _patience),
    (_under("trainer.monitor", "task.monitor"), _monitor),
    (_under("metrics"), _metrics),
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
    rule = f"has no effect: the run has finished ({progress.epoch} epochs)"
    remedy = f"Remove it, or start a new run with {_restart_command(progress, change.path, change.after)}"
    if change.path == "trainer.test":
        remedy = f"Use {command('evaluate', progress.folder)}"
    return Problem(change.path, shown(change.after), rule, remedy, code="no-effect")


def _back(change: Change, progress: Progress) -> str:
    before = setting(change.path, change.before)
    return _OLD_VALUE.format(before=before, restart=_restart_command(progress, change.path, change.after))


def _restart_command(progress: Progress, path: str, value: object, *more: str) -> str:
    return command("train", "--from", progress.folder, (path, value), *more)


def _after(change: Change) -> int:
    return int(change.after)
