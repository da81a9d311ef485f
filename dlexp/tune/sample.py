"""Configurations drawn at random, to show what a space holds before anything is trained."""

from __future__ import annotations

from typing import Any

import optuna

from dlexp.tune.space import Space


def samples(space: Space, seed: int, each: int) -> list[dict[str, Any]]:
    """`each` draws from every branch: group choices and values by path."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    found = []
    for branch in space.branches():
        for _ in range(each):
            study.enqueue_trial(branch)
            chosen, values = space.suggest(study.ask())
            found.append({**chosen, **values})
    return found
