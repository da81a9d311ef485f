"""Samplers and pruners by name, from a fixed list, so that a study cannot name other code."""

from __future__ import annotations

import hashlib
import math
import sys
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import optuna

from dlexp.errors import ConfigError
from dlexp.tune.search_space.space import Space

SAMPLERS = ("tpe", "random", "grid", "qmc", "gp", "cmaes")
PRUNERS = ("median", "none", "hyperband", "asha", "percentile", "patient", "threshold")

optuna.logging.set_verbosity(optuna.logging.ERROR)  # dlexp reports in its own words

_NEEDS = {"cmaes": "cmaes", "gp": "scipy", "qmc": "scipy"}


@dataclass(frozen=True)
class Rules:
    """Settings of a search, with the names of the `search` section."""

    sampler: str
    seed: int
    startup_trials: int
    pruner: str
    pruner_startup_trials: int
    pruner_warmup_epochs: int
    percentile: float
    maximize: bool
    metric: str
    epochs: int
    stale_minutes: float = 10.0


class _Current(optuna.samplers.BaseSampler):
    """A sampler with the current search space.

    Optuna derives ranges from past trials: after a range was extended, TPE with `group` and QMC would stay in the old
    range, and GP would sample at random.
    """

    def __init__(self, inner: optuna.samplers.BaseSampler, space: Space) -> None:
        self._inner, self._now = inner, space.distributions()

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """The parameters that are drawn together, with the current ranges."""
        found = self._inner.infer_relative_search_space(study, trial)
        for part in getattr(getattr(self._inner, "_search_space_group", None), "search_spaces", ()):
            part.update({name: self._now[name] for name in part.keys() & self._now.keys()})
        if isinstance(self._inner, optuna.samplers.GPSampler):  # it omits changed ranges
            done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
            common = set.intersection(*(set(t.params) for t in done)) if done else set()
            found |= {name: self._now[name] for name in common & self._now.keys()}
        return {name: self._now.get(name, found[name]) for name in sorted(found)}

    def sample_relative(self, study: Any, trial: Any, search_space: dict[str, Any]) -> dict[str, Any]:
        """Delegate to the sampler."""
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """Delegate to the sampler."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Any, trial: Any) -> None:
        """Delegate to the sampler."""
        self._inner.before_trial(study, trial)

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        """Delegate to the sampler."""
        self._inner.after_trial(study, trial, state, values)


class Patient(optuna.pruners.PatientPruner):
    """Optuna's patient pruner, which also prunes trials without a finite value."""

    def __init__(self, wrapped: optuna.pruners.BasePruner, patience: int) -> None:
        super().__init__(wrapped, patience)
        self._most = patience

    def prune(self, study: Any, trial: Any) -> bool:
        """Return whether to prune the trial."""
        values = trial.intermediate_values.values()
        if len(values) > self._most and not any(math.isfinite(value) for value in values):
            return True
        return bool(super().prune(study, trial))


def sampler_for(rules: Rules, existing: int, space: Space) -> optuna.samplers.BaseSampler:
    """The sampler for one proposal. Raises ConfigError if a required package is missing."""
    package = _NEEDS.get(rules.sampler, "optuna")
    if find_spec(package) is None:  # Optuna would raise only after the random trials
        raise ConfigError.one(
            "search.sampler",
            rules.sampler,
            f"requires the package {package}",
            f"Install it with pip install {package}",
            code="missing-package",
        )
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", optuna.exceptions.ExperimentalWarning
        )  # `group` and GP are marked as experimental
        return _Current(_built_sampler(rules, existing, space), space)


def _built_sampler(rules: Rules, existing: int, space: Space) -> optuna.samplers.BaseSampler:
    text = f"{rules.seed}:{existing}"
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    samplers = optuna.samplers
    if rules.sampler == "tpe":
        group = bool(space.groups)
        return samplers.TPESampler(
            seed=seed, n_startup_trials=rules.startup_trials, multivariate=True, group=group, constant_liar=True
        )
    if rules.sampler == "qmc":
        return samplers.QMCSampler(seed=rules.seed, warn_asynchronous_seeding=False)
    if rules.sampler == "gp":
        return samplers.GPSampler(seed=seed, n_startup_trials=rules.startup_trials)
    if rules.sampler == "cmaes":
        return samplers.CmaEsSampler(seed=seed, n_startup_trials=rules.startup_trials)
    return samplers.RandomSampler(seed=seed)  # also for a grid, whose values are fixed


def pruner_for(rules: Rules) -> optuna.pruners.BasePruner:
    """The pruner, which stops trials before their last epoch."""
    pruners = optuna.pruners
    startup, warmup = rules.pruner_startup_trials, rules.pruner_warmup_epochs
    if rules.pruner == "median":
        return pruners.MedianPruner(startup, warmup)
    if rules.pruner == "percentile":
        return pruners.PercentilePruner(rules.percentile, startup, warmup)
    if rules.pruner == "asha":
        return pruners.SuccessiveHalvingPruner(min_resource=max(1, warmup))
    if rules.pruner == "hyperband":
        return pruners.HyperbandPruner(min_resource=max(1, warmup), max_resource=rules.epochs)
    if rules.pruner == "patient":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return Patient(pruners.MedianPruner(startup, warmup), max(1, warmup))
    if rules.pruner == "threshold":
        largest = sys.float_info.max  # non-finite values are reported as larger
        return pruners.ThresholdPruner(lower=-largest, upper=largest)
    return pruners.NopPruner()
