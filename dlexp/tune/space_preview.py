"""Random configurations of a search space, and the maximum cost of a study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import optuna

from dlexp.tune.samplers import Rules
from dlexp.tune.search_space.grid import grid_points
from dlexp.tune.search_space.space import Space


@dataclass(frozen=True)
class Cost:
    """The maximum cost of a study: number of trials, and epochs per trial."""

    trials: int
    epochs: int


def cost(space: Space, rules: Rules, total: int) -> Cost:
    """The maximum cost. Raises ConfigError for a grid over an infinite space."""
    if rules.sampler == "grid":
        total = min(total, len(grid_points(space, rules.seed)) + 1)  # the baseline may be outside the space
    lengths = [int(d.extremes()[-1]) for d in space.dimensions if d.path == "trainer.epochs" and d.kind == "int"]
    lengths += [int(max(d.choices)) for d in space.dimensions if d.path == "trainer.epochs" and d.kind == "choice"]
    return Cost(total, max([rules.epochs, *lengths]))


def samples(space: Space, seed: int, each: int) -> list[dict[str, Any]]:
    """`each` random configurations of every branch: group choices and values by path."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    found = []
    for branch in space.branches():
        for _ in range(each):
            study.enqueue_trial(branch)
            chosen, values = space.suggest(study.ask())
            found.append({**chosen, **values})
    return found
