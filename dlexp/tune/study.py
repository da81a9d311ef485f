"""Studies: proposes trials, prunes them and records their results. The only module that runs Optuna.

One process owns the study of a directory and proposes all its trials; processes of several machines can share a
storage.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from dlexp.errors import ConfigError
from dlexp.tune.importance import importances
from dlexp.tune.migration import take_over
from dlexp.tune.samplers import Rules, pruner_for, sampler_for
from dlexp.tune.search_space.changes import planned
from dlexp.tune.search_space.grid import first_untried, grid_points
from dlexp.tune.search_space.space import Space
from dlexp.tune.storage.backends import StudyStorage, file_of, without_password
from dlexp.tune.storage.base_config import BaseConfig
from dlexp.tune.storage.lost_records import refuse_lost_file, refuse_lost_study, refuse_lost_trials
from dlexp.tune.storage.requeue import (
    BASELINE,
    REQUEUED,
    claim,
    counts,
    is_to_run_alone,
    requeue,
    requeue_abandoned,
    requeued_from,
    still_there,
)
from dlexp.tune.storage.study_metadata import StudyIdentity
from dlexp.tune.storage.time_used import Usage

_BEAT_SECONDS = 30.0


@dataclass(frozen=True)
class Proposal:
    """A trial to run: group choices, values by path, the number of the trial that it continues, None if new, and
    whether it may be in no stack."""

    trial: Trial
    chosen: dict[str, str]
    values: dict[str, Any]
    is_baseline: bool
    continues: int | None
    is_alone: bool = False


class Study:
    """An Optuna study that is consistent with its directory.

    Attributes:
        notes: Messages about changes since its last start.
    """

    def __init__(
        self, name: str, storage: str | None, folder: Path, rules: Rules, space: Space, trusted: tuple[str, ...] = ()
    ) -> None:
        """Open or create the study.

        Args:
            name: The name of the study.
            storage: The URL of the storage, None for a journal in `folder`.
            folder: The directory of the study.
            rules: Sampler, pruner and metric.
            space: The search space.
            trusted: May contain "cmaes", to allow CMA-ES to unpickle its state from a shared storage.

        Raises:
            ConfigError: The study has another metric, direction or an incompatible space; the storage cannot be opened,
                is corrupted or lacks trials that `folder` has results of; or the sampler requires `trusted`.
        """
        self._rules, self._folder = rules, folder
        self._grid = grid_points(space, rules.seed) if rules.sampler == "grid" else None
        if rules.sampler == "cmaes" and storage and "cmaes" not in trusted:
            _refuse_cmaes(f"the storage {without_password(storage)}")
        sampler_for(rules, 0, space)  # raises an error before anything is created
        direction: Literal["maximize", "minimize"] = "maximize" if rules.maximize else "minimize"
        if storage and (folder / "study.journal").is_file() and not storage.startswith("journal:"):
            rule = f"cannot be combined with {folder}, which has a study in its own journal"
            raise ConfigError.one(
                "--storage",
                without_password(storage),
                rule,
                "Remove --storage, or use another --name.",
                code="cannot-combine",
            )
        file = file_of(storage, folder)
        if file is not None:
            refuse_lost_file(file, folder)
        self._store = StudyStorage(storage, folder)
        if rules.sampler == "cmaes" and not self._store.is_own and "cmaes" not in trusted:
            _refuse_cmaes(f"{folder / 'study.journal'}, which was not created on this machine")
        with self._store.turn(name):
            records, pruner = self._store.records, pruner_for(rules)
            refuse_lost_study(records, self._store.place, name, folder)
            if name in optuna.get_all_study_names(records):
                self._study = optuna.load_study(study_name=name, storage=records, pruner=pruner)
                refuse_lost_trials(self._study, self._store.place, folder)
            else:
                self._study = optuna.create_study(study_name=name, storage=records, direction=direction, pruner=pruner)
            self._identity = StudyIdentity(self._study, rules, space)
            self.notes = self._identity.notes
            requeue_abandoned(self._study, rules.stale_minutes, is_opening=True)
        self._space = space
        self._usage = Usage(self._study)
        self._mine: dict[int, Trial] = {}
        self._beaten = 0.0

    def begin(self, base: BaseConfig, source: str | None = None) -> None:
        """Queue the baseline as trial 0, and copy trials.

        Args:
            base: The baseline configuration.
            source: The study to copy trials from: a name in the same storage or next to this directory, or a path.

        Raises:
            ConfigError: The source does not exist.
        """
        with self._store.turn(self._study.study_name):
            if not self._all():
                self._study.enqueue_trial(self._space.encode(base.choices, base.values), user_attrs={BASELINE: True})
            self._identity.write(base, self._space)
            if source is not None:
                self.notes.append(take_over(self._study, self._store, self._folder, source, self._space, base))

    def num_finished(self) -> int:
        """The number of complete, pruned and failed trials, without requeued ones."""
        return sum(counts(trial) for trial in self._all())

    def num_elsewhere(self) -> int:
        """The number of trials that other processes are running."""
        return sum(t.state == TrialState.RUNNING and t.number not in self._mine for t in self._all())

    def progress(self) -> str:
        """The progress of the study as text."""
        elsewhere = self.num_elsewhere()
        return f"{self.num_finished()} trials finished" + (f", {elsewhere} running elsewhere" if elsewhere else "")

    def ask(self, total: int, chosen: Mapping[str, str], values: Mapping[str, Any]) -> Proposal | None:
        """The next trial; None if a grid is exhausted, or `total` trials are finished or running, here or elsewhere.

        The sampler is seeded by the number of trials, without requeued ones, so that a continued study draws the same
        trials. Trials whose process has ended are requeued first.

        Args:
            total: The total number of trials.
            chosen: Group choices of the baseline.
            values: Values of the baseline by path.
        """
        with self._store.turn(self._study.study_name):
            requeue_abandoned(self._study, self._rules.stale_minutes, is_opening=False)
            known = self._all()
            if sum(counts(t) or t.state == TrialState.RUNNING for t in known) >= total:
                return None
            started = sum(t.state != TrialState.WAITING and not t.user_attrs.get(REQUEUED, False) for t in known)
            self._study.sampler = sampler_for(self._rules, started, self._space)
            if self._grid is not None and not any(t.state == TrialState.WAITING for t in known):
                tried = (planned(t) for t in known if not t.user_attrs.get(REQUEUED))
                point = first_untried(self._grid, tried)
                if point is None:
                    return None
                self._study.enqueue_trial(point)
            trial = self._study.ask()
            claim(trial)
            drawn = self._drawn(trial, chosen, values)
        self._mine[trial.number] = trial
        is_baseline = bool(trial.user_attrs.get(BASELINE))
        return Proposal(trial, *drawn, is_baseline, requeued_from(trial), is_to_run_alone(trial))

    def beat(self) -> None:
        """Record periodically that this process is alive, so that its trials are not requeued and its time counts."""
        often = min(_BEAT_SECONDS, 60 * self._rules.stale_minutes / 4)
        if time.monotonic() - self._beaten < often:
            return
        self._beaten = time.monotonic()
        self._usage.record()
        for trial in list(self._mine.values()):
            still_there(trial)

    def work_begins(self) -> None:
        """Start counting the time of this process."""
        self._usage.begin()

    def hours(self) -> float:
        """Total wall-clock time of the study over all its starts, in hours."""
        return self._usage.seconds() / 3600

    def report(self, trial: Trial, epoch: int, value: float) -> bool:
        """Record the metric of an epoch; returns whether to prune the trial. NaN counts as the worst value."""
        worst = -math.inf if self._rules.maximize else math.inf
        try:
            trial.report(value if math.isfinite(value) else worst, epoch)
        except UpdateFinishedTrialError:  # it was requeued and runs elsewhere
            return True
        return bool(trial.should_prune())

    def complete(self, trial: Trial, value: float) -> None:
        """Record a complete trial."""
        self._end(trial, TrialState.COMPLETE, "", value)

    def prune(self, trial: Trial, reason: str = "") -> None:
        """Record a pruned trial, with the reason if it is not the pruner."""
        self._end(trial, TrialState.PRUNED, reason)

    def fail(self, trial: Trial, reason: str) -> None:
        """Record a failed trial."""
        self._end(trial, TrialState.FAIL, reason)

    def requeue(self, trial: FrozenTrial | Trial, reason: str, *, alone: bool = False) -> None:
        """Replace an interrupted trial by a queued one with the same parameters; `alone`: to be in no stack."""
        with self._store.turn(self._study.study_name):
            requeue(self._study, trial.number, reason, alone=alone)
            self._mine.pop(trial.number, None)
            self._store.sync()

    def best(self) -> FrozenTrial | None:
        """The best complete trial, None if there is none."""
        ranked = self.ranked()
        return ranked[0] if ranked else None

    def ranked(self) -> list[FrozenTrial]:
        """Complete trials, best first; of equal ones the earlier first."""
        done = [t for t in self._all() if t.state == TrialState.COMPLETE and t.value is not None]
        sign = -1 if self._rules.maximize else 1
        return sorted(done, key=lambda trial: (sign * (trial.value or 0.0), trial.number))

    def decode(self, trial: FrozenTrial) -> tuple[dict[str, str], dict[str, Any]]:
        """(group choices, path -> value) of a trial, including dimensions that are no longer searched."""
        return self._identity.known.decode(trial.params)

    def since_best(self) -> int:
        """The number of trials since the best one; all of them if there is none."""
        best = self.best()
        return sum(counts(trial) for trial in self._all() if best is None or trial.number > best.number)

    def trials(self) -> list[FrozenTrial]:
        """All trials in order."""
        return self._all()

    def importances(self) -> dict[str, float]:
        """Parameter -> importance; {} if there are too few trials."""
        return importances(self._study)

    def _all(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _drawn(
        self, trial: Trial, chosen: Mapping[str, str], values: Mapping[str, Any]
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """(group choices, path -> value) of a trial that starts."""
        if trial.user_attrs.get(BASELINE):
            params = self._space.encode(chosen, values)
            for group in params.keys() & self._space.groups.keys():
                trial.suggest_categorical(group, list(self._space.groups[group]))
            for dimension in self._space.within(chosen):
                if dimension.path in values and dimension.encode(values[dimension.path]):
                    dimension.suggest(trial)
            return {group: option for group, option in chosen.items() if group in self._space.groups}, {}
        fixed = planned(self._all()[trial.number])
        groups, drawn = self._space.suggest(trial)
        for dimension in self._identity.known.within(
            groups
        ):  # a requeued trial keeps dimensions that are no longer searched
            if dimension.path not in drawn and fixed.keys() >= set(dimension.names):
                drawn[dimension.path] = dimension.suggest(trial)
        return groups, drawn

    def _end(self, trial: Trial, state: TrialState, reason: str, value: float | None = None) -> None:
        """Record the end of a trial and flush it to disk."""
        self._mine.pop(trial.number, None)
        try:
            if reason:
                trial.set_user_attr("reason", reason)
            self._study.tell(trial, value, state=state, skip_if_finished=True)
        except UpdateFinishedTrialError:  # it was requeued: another process runs it
            return
        self._usage.record()
        self._store.sync()


def _refuse_cmaes(where: str) -> None:
    """Raise ConfigError: CMA-ES unpickles its state, which can run code."""
    rule = f"unpickles its state from {where}; anyone with write access could run code on this machine"
    raise ConfigError.one(
        "search.sampler",
        "cmaes",
        rule,
        "Use search.sampler=tpe, or add --trust cmaes if you trust them.",
        code="untrusted",
    )


__all__ = ["BASELINE", "REQUEUED", "BaseConfig", "Proposal", "Study"]
