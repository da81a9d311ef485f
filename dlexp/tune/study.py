"""The study: which trial comes next, which is pruned, and what is known so far. The only module that runs Optuna.

One process holds the study and asks for every trial, so there is one writer, whatever the number of workers.
"""

from __future__ import annotations

import math
import os
import socket
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from dlexp.errors import ConfigError
from dlexp.tune.journal import Journal
from dlexp.tune.samplers import Grid, Rules, pruner_for, sampler_for
from dlexp.tune.space import Space

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
REQUEUED = "requeued"  # user attribute of a trial that was cut off and given to another one
_OWNER = "owner"
_MADE_FOR = "made_for"  # study attribute
BASELINE = "baseline"

optuna.logging.set_verbosity(optuna.logging.ERROR)


@dataclass(frozen=True)
class Proposal:
    """A trial to run: its group choices, its values by path, and the number of the trial that it continues, if any."""

    trial: Trial
    chosen: dict[str, str]
    values: dict[str, Any]
    is_baseline: bool
    continues: int | None


class Study:
    """An Optuna study that means what its directory says."""

    def __init__(self, name: str, storage: str | None, folder: Path, rules: Rules, space: Space) -> None:
        """Open or make the study. Raises ConfigError when it exists with another metric, direction or space."""
        self._space, self._rules = space, rules
        sampler_for(rules, 0, space)  # what it lacks is told before anything is made
        direction: Literal["maximize", "minimize"] = "maximize" if rules.maximize else "minimize"
        self._journal = None if storage else Journal(folder / "study.journal")
        self._study = optuna.create_study(
            study_name=name,
            storage=optuna.storages.JournalStorage(self._journal) if self._journal else database(storage or ""),
            direction=direction,
            pruner=pruner_for(rules),
            load_if_exists=True,
        )
        known = self._study.user_attrs.get(_MADE_FOR)
        if known is None:  # one attribute, so that no kill leaves half of it
            made_for = {"metric": rules.metric, "space": space.fingerprint(), "described": space.described()}
            self._study.set_user_attr(_MADE_FOR, made_for)
        else:
            self._refuse_another_study(known, direction)
        self.requeue_abandoned()

    def num_finished(self) -> int:
        """Trials that count: complete, pruned and failed; for one that was cut off counts the trial in its place."""
        return sum(_counts(trial) for trial in self._study.get_trials(deepcopy=False))

    def enqueue_baseline(self, chosen: Mapping[str, str], values: Mapping[str, Any]) -> None:
        """Make trial 0 the configuration as it is written, whether or not the space holds it."""
        if not self._study.get_trials(deepcopy=False):
            self._study.enqueue_trial(self._space.encode(chosen, values), user_attrs={BASELINE: True})

    def ask(self, total: int, chosen: Mapping[str, str], values: Mapping[str, Any]) -> Proposal | None:
        """The next trial, None after a whole grid or when `total` trials are finished or under way, here or elsewhere.

        `chosen` and `values` are the configuration as written, for the baseline. The sampler is seeded by how many
        trials there are, without those that were cut off: a study that is continued draws what it would have drawn.
        """
        known = self._study.get_trials(deepcopy=False)
        if sum(_counts(t) or t.state == TrialState.RUNNING for t in known) >= total:
            return None
        started = sum(t.state != TrialState.WAITING and not t.user_attrs.get(REQUEUED, False) for t in known)
        sampler = self._study.sampler = sampler_for(self._rules, started, self._space)
        is_waiting = any(t.state == TrialState.WAITING for t in known)
        if isinstance(sampler, Grid) and not is_waiting and sampler.is_exhausted(self._study):
            return None
        trial = self._study.ask()
        trial.set_user_attr(_OWNER, f"{socket.gethostname()}:{os.getpid()}")
        if trial.user_attrs.get(BASELINE):
            params = self._space.encode(chosen, values)
            for group in params.keys() & self._space.groups.keys():
                trial.suggest_categorical(group, list(self._space.groups[group]))
            for dimension in self._space.within(chosen):
                if dimension.path in values and dimension.encode(values[dimension.path]):
                    dimension.suggest(trial)
            drawn: tuple[dict[str, str], dict[str, Any]] = (dict(chosen), {})
        else:
            drawn = self._space.suggest(trial)
        earlier = [t for t in self._study.get_trials(deepcopy=False) if t.number < trial.number]
        if sum(_counts(t) or t.state == TrialState.RUNNING for t in earlier) >= total:
            trial.set_user_attr(REQUEUED, True)  # another machine asked at the same moment, and was first
            self._tell(trial, TrialState.FAIL)
            return None
        continues = trial.user_attrs.get("continues")
        return Proposal(trial, *drawn, is_baseline=bool(trial.user_attrs.get(BASELINE)), continues=continues)

    def report(self, trial: Trial, epoch: int, value: float) -> bool:
        """Take in the metric of an epoch; True when the trial should be pruned. NaN counts as the worst there is."""
        worst = -math.inf if self._rules.maximize else math.inf
        trial.report(value if math.isfinite(value) else worst, epoch)
        return bool(trial.should_prune())

    def complete(self, trial: Trial, value: float) -> None:
        """The trial ended with `value`."""
        self._tell(trial, TrialState.COMPLETE, value)

    def prune(self, trial: Trial, reason: str = "") -> None:
        """The trial was stopped because others were better at its age, or for the reason given."""
        if reason:
            trial.set_user_attr("reason", reason)
        self._tell(trial, TrialState.PRUNED)

    def fail(self, trial: Trial, reason: str) -> None:
        """The trial gave no value."""
        trial.set_user_attr("reason", reason)
        self._tell(trial, TrialState.FAIL)

    def requeue(self, trial: FrozenTrial | Trial, reason: str) -> None:
        """A trial that was cut off makes way for another one with the same parameters."""
        number = trial.number
        frozen = next(t for t in self._study.get_trials(deepcopy=False) if t.number == number)
        storage, trial_id = self._study._storage, frozen._trial_id
        storage.set_trial_user_attr(trial_id, REQUEUED, True)
        storage.set_trial_user_attr(trial_id, "reason", reason)
        self._tell(number, TrialState.FAIL)
        first = frozen.user_attrs.get("continues", number)  # the directory is named after the first of them
        attributes = {"continues": first, BASELINE: frozen.user_attrs.get(BASELINE, False)}
        planned = frozen.system_attrs.get("fixed_params", {})  # it may have been cut off before it drew them
        self._study.enqueue_trial({**planned, **frozen.params}, user_attrs=attributes)

    def requeue_abandoned(self) -> list[int]:
        """Requeue the running trials of a process of this machine that is gone; returns their numbers."""
        abandoned = [
            trial
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if not is_alive(str(trial.user_attrs.get(_OWNER, "")))
        ]
        for trial in abandoned:
            self.requeue(trial, "its process was killed")
        return [trial.number for trial in abandoned]

    def best(self) -> FrozenTrial | None:
        """The best complete trial, None before there is one."""
        return self.ranked()[0] if self.ranked() else None

    def ranked(self) -> list[FrozenTrial]:
        """Complete trials, best first; of equals the earlier."""
        done = [
            t for t in self._study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE and t.value is not None
        ]
        sign = -1 if self._rules.maximize else 1
        return sorted(done, key=lambda trial: (sign * (trial.value or 0.0), trial.number))

    def since_best(self) -> int:
        """Trials that counted since the best one; all of them before there is one."""
        best = self.best()
        return sum(_counts(trial) for trial in self.trials() if best is None or trial.number > best.number)

    def trials(self) -> list[FrozenTrial]:
        """Every trial in order."""
        return self._study.get_trials(deepcopy=False)

    def importances(self) -> dict[str, float]:
        """Parameter -> share of the variance that it explains (PED-ANOVA); {} when there is too little to tell."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that few trials say little is plain from their number
                return dict(optuna.importance.get_param_importances(self._study))
        except (ValueError, RuntimeError):
            return {}

    def _tell(self, trial: Trial | int, state: TrialState, value: float | None = None) -> None:
        """End a trial, for good: what is known of it survives a power cut."""
        self._study.tell(trial, value, state=state)
        if self._journal:
            self._journal.sync()

    def _refuse_another_study(self, known: Mapping[str, Any], direction: str) -> None:
        if known.get("metric") != self._rules.metric or self._study.direction.name.lower() != direction:
            was = f"{self._study.direction.name.lower()} {known.get('metric')}"
            rule = f"this study was made to {was}, and now it should {direction} {self._rules.metric}"
            raise ConfigError.one("--name", self._study.study_name, rule, "give the new study another name")
        if known.get("space") != self._space.fingerprint():
            before, now = known.get("described", {}), self._space.described()
            changed = [
                f"{k}: {before.get(k, 'absent')} -> {now.get(k, 'absent')}"
                for k in sorted({*before, *now})
                if before.get(k) != now.get(k)
            ]
            rule = f"this study has another space ({'; '.join(changed[:4])})"
            raise ConfigError.one("--name", self._study.study_name, rule, "give the new study another name")


def _counts(trial: FrozenTrial) -> bool:
    return trial.state in FINISHED and not trial.user_attrs.get(REQUEUED, False)


def is_alive(owner: str) -> bool:
    """Whether the process that runs a trial is there; one of another machine is taken to be."""
    host, _, pid = owner.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return bool(host)
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return int(pid) != os.getpid()


def database(url: str) -> Any:
    """The storage that `url` names. Raises ConfigError when it cannot be opened."""
    try:
        return optuna.storages.RDBStorage(url)
    except Exception as error:  # SQLAlchemy and its drivers have many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError.one(
            "--storage", masked(url), f"cannot be opened: {reason.replace(url, masked(url))}"
        ) from error


def masked(url: str) -> str:
    """A storage URL without its password."""
    scheme, mark, rest = url.partition("://")
    account, at, place = rest.rpartition("@")
    return f"{scheme}{mark}{account.partition(':')[0]}:***@{place}" if mark and at and ":" in account else url
