"""Trials that were cut off: each makes way for another one with the same parameters, and counts no more itself."""

from __future__ import annotations

import time

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from dlexp.tune.search_space.changes import planned
from dlexp.tune.storage.worker_id import is_alive, is_elsewhere, me

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
REQUEUED = "requeued"  # user attribute of a trial that was cut off and given to another one
BASELINE = "baseline"
_CONTINUES, _OWNER, _SEEN = "continues", "owner", "seen"


def counts(trial: FrozenTrial) -> bool:
    """Whether the trial is one of the total: it has ended, and no other one was queued for it."""
    return trial.state in FINISHED and not trial.user_attrs.get(REQUEUED, False)


def claim(trial: Trial) -> None:
    """Note that this process runs the trial, and that it lives now."""
    trial.set_user_attr(_OWNER, me())
    trial.set_user_attr(_SEEN, time.time())


def still_there(trial: Trial) -> None:
    """Note that the process that runs the trial lives; nothing when the trial was taken from it."""
    try:
        trial.set_user_attr(_SEEN, time.time())
    except UpdateFinishedTrialError:
        return


def continued(trial: Trial) -> int | None:
    """The number of the trial that this one continues: the first of them, which names the directory."""
    found = trial.user_attrs.get(_CONTINUES)
    return None if found is None else int(found)


def requeue(study: optuna.Study, number: int, reason: str) -> None:
    """Let a running trial make way for another one with its parameters; nothing when it has ended already."""
    frozen = next(trial for trial in study.get_trials(deepcopy=False) if trial.number == number)
    storage, trial_id = study._storage, frozen._trial_id
    try:
        storage.set_trial_user_attr(trial_id, REQUEUED, True)
        storage.set_trial_user_attr(trial_id, "reason", reason)
        study.tell(number, state=TrialState.FAIL)
    except UpdateFinishedTrialError:  # another process has done so
        return
    attributes = {
        _CONTINUES: frozen.user_attrs.get(_CONTINUES, number),
        BASELINE: frozen.user_attrs.get(BASELINE, False),
    }
    study.enqueue_trial(planned(frozen), user_attrs=attributes)  # it may have been cut off before it drew them


def requeue_abandoned(study: optuna.Study, stale_minutes: float, is_opening: bool) -> None:
    """Requeue the running trials of processes that are gone, or elsewhere and silent for too long.

    When a process opens a study it runs none of its trials yet: what bears its name is left from before.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        owner = str(trial.user_attrs.get(_OWNER, ""))
        silent = time.time() - float(trial.user_attrs.get(_SEEN, 0.0))
        if owner == me() and not is_opening:
            continue
        if not is_alive(owner):
            requeue(study, trial.number, "its process was killed")
        elif is_elsewhere(owner) and silent > 60 * stale_minutes:
            host = owner.partition(":")[0]
            requeue(study, trial.number, f"no sign of life from {host} for more than {stale_minutes:g} minutes")
