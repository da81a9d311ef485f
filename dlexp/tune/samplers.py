"""Samplers and pruners by name, from a fixed list: a study's file can name no other code."""

from __future__ import annotations

import hashlib
import sys
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import optuna

from dlexp.errors import ConfigError
from dlexp.tune.space import Space

SAMPLERS = ("tpe", "random", "grid", "qmc", "gp", "cmaes")
PRUNERS = ("median", "none", "hyperband", "asha", "percentile", "patient", "threshold")

_NEEDS = {"cmaes": "cmaes", "gp": "scipy", "qmc": "scipy"}


@dataclass(frozen=True)
class Rules:
    """How a study searches; the same names as in the `search` section."""

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


class Grid(optuna.samplers.GridSampler):
    """A grid whose end is asked for, `is_exhausted`, and not announced by stopping an optimization that is not run."""

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        """Nothing."""


def sampler_for(rules: Rules, existing: int, space: Space) -> optuna.samplers.BaseSampler:
    """The sampler for one proposal. Raises ConfigError when a package that it needs is missing."""
    package = _NEEDS.get(rules.sampler, "optuna")
    if find_spec(package) is None:  # Optuna itself would notice after the random trials
        raise ConfigError.one("search.sampler", rules.sampler, f"needs the package {package}", f"pip install {package}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # `group` and GP are both years old
        return _built_sampler(rules, existing, space)


def _built_sampler(rules: Rules, existing: int, space: Space) -> optuna.samplers.BaseSampler:
    text = f"{rules.seed}:{existing}"
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    samplers = optuna.samplers
    if rules.sampler == "tpe":
        group = bool(space.groups)
        return samplers.TPESampler(
            seed=seed, n_startup_trials=rules.startup_trials, multivariate=True, group=group, constant_liar=True
        )
    if rules.sampler == "random":
        return samplers.RandomSampler(seed=seed)
    if rules.sampler == "qmc":
        return samplers.QMCSampler(seed=rules.seed, warn_asynchronous_seeding=False)
    if rules.sampler == "gp":
        return samplers.GPSampler(seed=seed, n_startup_trials=rules.startup_trials)
    if rules.sampler == "cmaes":
        return samplers.CmaEsSampler(seed=seed, n_startup_trials=rules.startup_trials)
    return Grid(_grid(space), seed=rules.seed)


def _grid(space: Space) -> dict[str, list[Any]]:
    """The values of a grid. Raises ConfigError for a space that has endless ones."""
    grid: dict[str, list[Any]] = {group: list(options) for group, options in space.groups.items()}
    for dimension in space.dimensions:
        if dimension.kind == "choice":
            grid[dimension.name] = list(dimension.choices)
        elif dimension.kind == "repeat":
            grid[f"{dimension.name}.length"] = list(range(int(dimension.low), int(dimension.high) + 1))
            grid[f"{dimension.name}.each"] = list(dimension.choices)
        elif dimension.kind == "int" and not dimension.log:
            grid[dimension.name] = list(range(int(dimension.low), int(dimension.high) + 1, int(dimension.step or 1)))
        elif dimension.step:
            count = int((dimension.high - dimension.low) / dimension.step + 1e-9) + 1
            grid[dimension.name] = [dimension.low + n * dimension.step for n in range(count)]
        else:
            rule = f"a grid needs finitely many values, and {dimension.path} has a range"
            raise ConfigError.one(
                "search.sampler", "grid", rule, "give it a choice or a step, or use search.sampler=tpe"
            )
    return grid


def pruner_for(rules: Rules) -> optuna.pruners.BasePruner:
    """What decides whether a trial is stopped before its last epoch."""
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
        return pruners.PatientPruner(pruners.MedianPruner(startup, warmup), patience=max(1, warmup))
    if rules.pruner == "threshold":
        largest = sys.float_info.max  # what is not finite is reported as beyond it
        return pruners.ThresholdPruner(lower=-largest, upper=largest)
    return pruners.NopPruner()
