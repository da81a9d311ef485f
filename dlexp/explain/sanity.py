"""Checks of an explanation: does it depend on the weights, and does it name what the score depends on?

Symbols: B samples, S the shape of a sample, P parts, K fractions.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlexp.explain.parts import Parts
from dlexp.explain.score import Score, row_numbers, scores_of
from dlexp.runtime.seed import generator, kept_randomness, seed_global

_BINS = 100
_TWO_SIDED_95 = 1.959964  # deviations of the normal distribution


@dataclass(frozen=True)
class MeanInterval:
    """A mean over samples with its 95 % interval; the limits are NaN for fewer than two samples."""

    mean: float
    low: float
    high: float
    samples: int


def mean_interval(values: Tensor) -> MeanInterval:
    """The mean of (B,) values and its 95 % interval by the normal distribution."""
    count = len(values)
    mean = float(values.double().mean()) if count else math.nan
    half = _TWO_SIDED_95 * float(values.double().std()) / math.sqrt(count) if count > 1 else math.nan
    return MeanInterval(mean, mean - half, mean + half, count)


def explanation_entropy(attributions: Tensor) -> Tensor:
    """(B, *S) -> (B,) float64, >= 0: entropy in nats of the histogram of each sample, in 100 bins over its range.

    It is the complexity of the efficient model parameter randomization test (Hedström et al. 2024, arXiv:2401.06465).
    """
    flat = attributions.flatten(1).double()
    low, high = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
    apart = torch.where(high > low, high - low, 1.0)
    places = ((flat - low) / apart * _BINS).long().clamp(max=_BINS - 1)
    counts = torch.zeros(len(flat), _BINS, dtype=torch.float64, device=flat.device)
    shares = counts.scatter_add(1, places, torch.ones_like(flat)) / flat.shape[1]
    entropy: Tensor = torch.special.entr(shares).sum(1)
    return entropy


def with_random_weights(network: nn.Module, seed: int, draw: int = 0) -> nn.Module:
    """A copy of `network` whose weights are drawn anew, layer by layer as torch initializes them.

    Weights of layers that cannot initialize themselves get normal numbers of the same deviation.
    """
    copied, known = copy.deepcopy(network), set()
    with kept_randomness(), torch.no_grad():
        seed_global(seed, "random weights", draw)
        for module in copied.modules():
            reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
            if callable(reset):
                reset()
                known |= {id(parameter) for parameter in module.parameters(recurse=False)}
        for parameter in copied.parameters():
            if id(parameter) not in known and parameter.is_floating_point():
                spread = parameter.std() if parameter.numel() > 1 else parameter.abs().mean()
                parameter.copy_(torch.randn(parameter.shape).to(parameter) * spread)
    return copied


def rank_correlations(first: Tensor, second: Tensor) -> Tensor:
    """(B, *S) twice -> (B,) in [-1, 1]: correlation of the ranks of each sample, 0 where one of them is constant."""
    from scipy.stats import rankdata

    ranks = [torch.from_numpy(rankdata(part.flatten(1).double().cpu().numpy(), axis=1)) for part in (first, second)]
    a, b = (rank - rank.mean(1, keepdim=True) for rank in ranks)
    size = a.norm(dim=1) * b.norm(dim=1)
    return torch.where(size > 0, (a * b).sum(1) / torch.where(size > 0, size, 1.0), 0.0)


@dataclass(frozen=True)
class Curves:
    """The score while parts are removed from a sample, or added to its baseline, the most important first.

    Attributes:
        method: (K + 1,) mean over the samples, in the order of the attributions.
        random: (K + 1,) mean over the samples and several random orders.
        advantage: How much better the mean of the curve is than in random order, by sample: below it for removal, above
            it for insertion; in units of the score.
    """

    method: tuple[float, ...]
    random: tuple[float, ...]
    advantage: MeanInterval


@dataclass(frozen=True)
class Removal:
    """What is removed from which samples, or added to their baseline.

    Attributes:
        values: (B, *S).
        baseline: What removed parts become, of a shape that broadcasts to (B, *S).
        parts: What is removed at a time.
        inserts: Whether parts are added to the baseline, instead of removed from the sample.
        fractions: K, in how many steps.
        at_once: Rows that are computed together.
    """

    values: Tensor
    baseline: Tensor
    parts: Parts
    inserts: bool = False
    fractions: int = 10
    at_once: int = 256

    def curve(self, score: Score, ranking: Tensor) -> Tensor:
        """(B, K + 1) float64: the score after each fraction of the parts, in the order `ranking` (B, P)."""
        places = ranking.argsort(1)  # the rank of each part
        start, rows, found = self.baseline.expand_as(self.values), row_numbers(self.values), []
        for step in range(self.fractions + 1):
            changed = places < round(self.parts.count * step / self.fractions)
            mixed = self.parts.kept(changed if self.inserts else ~changed, self.values, start)
            found.append(scores_of(score, mixed, rows, self.at_once).double())
        return torch.stack(found, 1)


def removal_curves(score: Score, removal: Removal, attributions: Tensor, seed: int, orders: int = 4) -> Curves:
    """Deletion or insertion curves (Petsiuk et al. 2018, arXiv:1806.07421) against random orders of the same samples.

    Args:
        score: What is explained.
        removal: Samples, and what is removed or added.
        attributions: (B, *S).
        seed: Of the random orders.
        orders: Random orders for each sample.
    """
    shape = (len(removal.values), removal.parts.count)
    made = removal.curve(score, removal.parts.sums(attributions).argsort(dim=1, descending=True, stable=True))
    draws = []
    for order in range(orders):
        drawn = torch.rand(shape, generator=generator(seed, "random order", order)).argsort(1)
        draws.append(removal.curve(score, drawn.to(removal.values.device)))
    random = torch.stack(draws).mean(0)
    advantage = (made - random if removal.inserts else random - made).mean(1)
    return Curves(tuple(made.mean(0).tolist()), tuple(random.mean(0).tolist()), mean_interval(advantage))
