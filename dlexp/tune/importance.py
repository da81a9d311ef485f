"""Which parameters set the best tenth of the trials apart (PED-ANOVA, Watanabe et al. 2023, arXiv:2304.10255).

The estimate compares the values that a parameter has among the best tenth of the complete trials with those among all
of them. That is no share of a variance: a parameter that moves the metric much, but in no other way among the best than
among the rest, counts little.
"""

from __future__ import annotations

import warnings

import optuna
from optuna.trial import TrialState

LEAST_TRIALS = 20  # the best tenth of fewer is one trial, whose values are set apart by nothing but themselves
_TENTH = 0.1


def importances(study: optuna.Study) -> dict[str, float]:
    """Parameter -> its share of what sets the best tenth apart, the shares summing to 1.

    {} before `LEAST_TRIALS` trials are complete, and where nothing sets the best apart.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < LEAST_TRIALS:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that few trials say little is told beside the picture
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=_TENTH)
        try:
            found = optuna.importance.get_param_importances(study, evaluator=evaluator, normalize=False)
        except (ValueError, RuntimeError):  # what Optuna raises where no parameter varies
            return {}
    total = sum(found.values())
    return {name: value / total for name, value in found.items()} if total > 0 else {}
