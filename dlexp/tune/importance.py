"""Parameter importances by PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255).

The importance compares the distribution of a parameter among the best tenth of the complete trials with that among all
of them. It is not a share of variance.
"""

from __future__ import annotations

import warnings

import optuna
from optuna.trial import TrialState

LEAST_TRIALS = 20  # with fewer, the best tenth is a single trial
_TENTH = 0.1


def importances(study: optuna.Study) -> dict[str, float]:
    """Parameter -> importance, with sum 1; {} below `LEAST_TRIALS` complete trials, or without a difference."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < LEAST_TRIALS:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the page mentions that few trials give weak evidence
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=_TENTH)
        try:
            found = optuna.importance.get_param_importances(study, evaluator=evaluator, normalize=False)
        except (ValueError, RuntimeError):  # raised by Optuna if no parameter varies
            return {}
    total = sum(found.values())
    return {name: value / total for name, value in found.items()} if total > 0 else {}
