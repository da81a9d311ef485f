"""Interrupted trials: each is replaced by a queued trial with the same parameters."""

from __future__ import annotations

import time

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from dlexp.tune.search_space.changes import planned
from dlexp.tune.storage.worker_id import is_alive, is_elsewhere, own_worker_id

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
REQUEUED = "requeued"  # user attribute of an interrupted trial that was replaced
BASELINE = "baseline"
_CONTINUES, _WORKER, _SEEN, _ALONE = "continues", "worker", "seen", "alone"


def counts(trial: FrozenTrial) -> bool:
    """Return whether the trial counts toward the total: it has ended and was not replaced."""
    return trial.state in FINISHED and not trial.user_attrs.get(REQUEUED, False)


def claim(trial: Trial) -> None:
    """Record this process as the worker that runs the trial, and the current time."""
    trial.set_user_attr(_WORKER, own_worker_id())
    trial.set_user_attr(_SEEN, time.time())


def still_there(trial: Trial) -> None:
    """Record that the worker of the trial is alive, unless the trial was replaced."""
    try:
        trial.set_user_attr(_SEEN, time.time())
    except UpdateFinishedTrialError:
        return


def requeued_from(trial: Trial) -> int | None:
    """The number of the first trial that this one continues, which names the directory; None if it is new."""
    found = trial.user_attrs.get(_CONTINUES)
    return None if found is None else int(found)


def is_to_run_alone(trial: Trial) -> bool:
    """Whether the trial was in a stack whose process ended, perhaps because of it, so that it may not be in another."""
    return bool(trial.user_attrs.get(_ALONE, False))


def requeue(study: optuna.Study, number: int, reason: str, *, alone: bool = False) -> None:
    """Replace a running trial by a queued one with its parameters, unless it has ended; `alone`: in no stack."""
    frozen = next(trial for trial in study.get_trials(deepcopy=False) if trial.number == number)
    storage, trial_id = study._storage, frozen._trial_id
    try:
        storage.set_trial_user_attr(trial_id, REQUEUED, True)
        storage.set_trial_user_attr(trial_id, "reason", reason)
        study.tell(number, state=TrialState.FAIL)
    except UpdateFinishedTrialError:  # another process has replaced it
        return
    attributes = {
        _CONTINUES: frozen.user_attrs.get(_CONTINUES, number),
        BASELINE: frozen.user_attrs.get(BASELINE, False),
        _ALONE: alone or frozen.user_attrs.get(_ALONE, False),
    }
    study.enqueue_trial(planned(frozen), user_attrs=attributes)  # it may have been interrupted before drawing them


def requeue_abandoned(study: optuna.Study, stale_minutes: float, is_opening: bool) -> None:
    """Requeue the running trials of processes that have ended, or are elsewhere and silent for too long.

    When a process opens a study, trials under its own identifier are left from an earlier process.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        worker = str(trial.user_attrs.get(_WORKER, ""))
        silent = time.time() - float(trial.user_attrs.get(_SEEN, 0.0))
        if worker == own_worker_id() and not is_opening:
            continue
        if not is_alive(worker):
            requeue(study, trial.number, "the process was killed")
        elif is_elsewhere(worker) and silent > 60 * stale_minutes:
            host = worker.partition(":")[0]
            requeue(study, trial.number, f"no heartbeat from {host} for more than {stale_minutes:g} minutes")
