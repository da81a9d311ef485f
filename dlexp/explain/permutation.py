"""Permutation importance of the columns of a table, with intervals.

Breiman 2001, "Random Forests"; Fisher et al. 2019, "All Models are Wrong, but Many are Useful" (arXiv:1801.01489).

Symbols: N samples, F features, P columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dlexp.explain.parts import Parts
from dlexp.explain.sanity import MeanInterval, mean_interval
from dlexp.runtime.seed import generator

_CORRELATED = 0.8  # of the ranks of two columns


@dataclass(frozen=True)
class Importance:
    """How much the loss rises when columns are shuffled together.

    Attributes:
        columns: Their numbers.
        increase: Mean over the samples, with its interval, in units of the loss.
    """

    columns: tuple[int, ...]
    increase: MeanInterval


def permutation_importance(
    losses: Callable[[Tensor], Tensor],
    values: Tensor,
    parts: Parts,
    groups: Sequence[tuple[int, ...]],
    seed: int,
    repeats: int = 10,
) -> list[Importance]:
    """The importance of each group of columns.

    Args:
        losses: (N, F) -> (N,), the loss of each sample.
        values: (N, F).
        parts: The features of each column: those of one category stay together.
        groups: Columns that are shuffled together.
        seed: Of the orders; that of a group does not depend on the other groups.
        repeats: Orders for each group.

    The interval is for the choice of the samples: the increase of a sample is its mean over the orders.
    """
    before = losses(values).double()
    where, found = parts.of_value.to(values.device), []
    for group in groups:
        chosen = torch.isin(where, torch.tensor(group, device=values.device))
        increases = []
        for repeat in range(repeats):
            order = torch.randperm(len(values), generator=generator(seed, "permutation", *group, repeat))
            shuffled = values.clone()
            shuffled[:, chosen] = values[order.to(values.device)][:, chosen]
            increases.append(losses(shuffled).double() - before)
        found.append(Importance(tuple(group), mean_interval(torch.stack(increases).mean(0))))
    return found


def correlated_groups(values: Tensor, parts: Parts) -> list[tuple[int, ...]]:
    """Groups of two or more columns whose ranks correlate by 0.8 or more, directly or through others.

    Shuffled one by one, each of them looks less important than they are together: the others still tell what it facts.
    Columns of several features are not compared.
    """
    sizes = torch.bincount(parts.of_value, minlength=parts.count)
    features = {int(parts.of_value[at]): at for at in range(len(parts.of_value)) if sizes[parts.of_value[at]] == 1}
    varying = [column for column, at in features.items() if bool((values[:, at] != values[0, at]).any())]
    if len(varying) < 2:
        return []
    from scipy.stats import rankdata

    ranks = rankdata(values[:, [features[column] for column in varying]].double().cpu().numpy(), axis=0)
    close = np.abs(np.corrcoef(ranks, rowvar=False)) >= _CORRELATED
    groups: list[set[int]] = []
    for row, column in enumerate(varying):
        linked = {column, *(varying[other] for other in np.flatnonzero(close[row]))}
        touched = [group for group in groups if group & linked]
        groups = [group for group in groups if not group & linked] + [linked.union(*touched)]
    return sorted(tuple(sorted(group)) for group in groups if len(group) > 1)
