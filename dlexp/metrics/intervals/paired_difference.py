"""Which of two ways to train scores higher, on the same samples: the difference, and how sure it is.

Two things make a mean score uncertain: which samples the split happens to hold, and which seeds the training happened
to have. Every network here is scored on the same samples, so samples are paired; seeds are not, since the same seed in
two configurations has nothing in common but its number. What an interval speaks of is in its `about`:

seeds and samples   the two ways to train, on samples like these. The variance of the difference is put together from
                    that between samples (N of them, of the difference of the seeds' mean scores) and that between seeds
                    (of the mean scores of each side), less the residual that both contain; degrees of freedom by
                    Satterthwaite (1946). It is the analysis of several readers who judge the same cases (Obuchowski
                    1995; Hillis 2007), with seeds for readers. Among several intervals that shall hold together, each
                    lies further out, where degrees of freedom that are themselves estimated from a few seeds mislead:
                    there each part of the variance has the t point of its degrees (Banerjee 1961).
samples             these very networks, on samples like these: a bootstrap over samples (Efron 1979). With scores of 0
                    and 1, one more sample that only the first gets right and one that only the second does are drawn
                    from too: without them the interval is empty where the networks never differ (Bonett & Price 2012).
seeds               the two ways to train, on exactly these samples: Welch's t interval over the seeds' mean scores.

benchmarks/results/compare_coverage.md has the coverage of each, simulated. Symbols: N samples, K seeds of one side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlexp.metrics.bootstrap import interval, resampled
from dlexp.metrics.intervals.student_t import two_sided, two_sided_point

Floats = NDArray[np.float64]
RESAMPLES = 4000
_MOST_DRAWS = 100_000_000  # a second or two
_FEW = 64  # distinct values; the scores of some networks that are right or wrong have no more


@dataclass(frozen=True)
class PairedDifference:
    """Mean score of the first side less that of the second.

    low, high  bounds of the interval of `level`; infinite where nothing is known of the spread
    p_value    two-sided, of no difference; None where the method has none
    about      "seeds and samples", "samples" or "seeds": over what the interval generalizes
    seeds      networks of each side
    samples    N, 0 where only mean scores are known
    """

    value: float
    low: float
    high: float
    level: float
    p_value: float | None
    about: str
    seeds: tuple[int, int]
    samples: int

    @property
    def sign(self) -> int:
        """1 where the first side is higher beyond doubt, -1 where the second is, 0 where neither is."""
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True)
class McNemar:
    """How often exactly one of two networks is right, and how likely a split as uneven is by chance (exact, two-sided).

    Source: McNemar 1947; the binomial probability of at least as uneven a split, at most 1.
    """

    only_first: int
    only_second: int
    p_value: float


def over_seeds_and_samples(
    first: Floats, second: Floats, level: float, *, is_one_of_several: bool = False
) -> PairedDifference:
    """The difference of two ways to train, from the scores of their networks on the same samples.

    first (K, N), second (K', N), K, K' and N at least 2
    is_one_of_several  whether `level` is that of one interval among several that shall hold together
    """
    (count, samples), (others, _) = first.shape, second.shape
    if min(count, others, samples) < 2 or second.shape[1] != samples:
        raise ValueError(f"scores of {first.shape} and {second.shape}: two seeds and two samples, the same, are needed")
    value = float(first.mean() - second.mean())
    between_samples = float((first.mean(axis=0) - second.mean(axis=0)).var(ddof=1)) / samples
    sides = [float(side.mean(axis=1).var(ddof=1)) / len(side) for side in (first, second)]
    residual = _residual(first) + _residual(second)
    extra = sum(sides) - residual
    seeds = (count, others)
    if is_one_of_several:
        degrees = samples - 1.0, _welch_degrees(sides, seeds)
        return _by_parts(value, (between_samples, sum(sides), residual), degrees, level, seeds, samples)
    if extra > 0:
        total = between_samples + extra
        parts = [(between_samples, samples), (sides[0], count), (sides[1], others)]
        least = min(count, others) - 1
        degrees = max(least, total**2 / sum(part**2 / (of - 1) for part, of in parts))
    else:  # no more variance between seeds than samples alone make
        total, degrees = between_samples, samples - 1.0
    return _by_t(value, math.sqrt(total), degrees, level, "seeds and samples", seeds, samples)


def over_samples(
    pairs: Sequence[tuple[Floats, Floats]], level: float, *, seed: int, zero_or_one: bool
) -> list[PairedDifference]:
    """The differences of these very networks, by one bootstrap over the samples; several of a side are averaged.

    pairs        (K, N) and (K', N) scores each, of the same N samples
    seed         of the resampling
    zero_or_one  whether every score is 0 or 1
    """
    samples = pairs[0][0].shape[1]
    each = np.stack([first.mean(axis=0) - second.mean(axis=0) for first, second in pairs])
    more = np.tile((1.0, -1.0), (len(pairs), 1)) if zero_or_one else each[:, :0]
    # The bounds of many intervals lie further out, where fewer resamples are.
    resamples = max(RESAMPLES, min(RESAMPLES * len(pairs), _MOST_DRAWS // samples))
    sums = _resampled_sums(np.concatenate((each, more), axis=1), resamples, seed)
    made = []
    for (first, second), differences, values in zip(pairs, each, sums, strict=True):
        bounds = interval(values / samples, level)
        assert bounds.low is not None and bounds.high is not None  # a mean has a value in every resample
        value, seeds = float(differences.mean()), (len(first), len(second))
        made.append(PairedDifference(value, bounds.low, bounds.high, level, None, "samples", seeds, samples))
    return made


def _resampled_sums(values: Floats, resamples: int, seed: int) -> Floats:
    """The sums (P, R) of P rows of N values over R resamples."""
    kinds = [np.unique(row, return_counts=True) for row in values]
    count = values.shape[1]
    if max(len(distinct) for distinct, _ in kinds) <= _FEW:
        # How often each value comes in a resample is multinomial: the same draws, without one for each sample.
        rng = np.random.default_rng(seed)
        return np.stack([rng.multinomial(count, counts / count, size=resamples) @ kind for kind, counts in kinds])
    found = resampled(
        lambda counts: {str(place): sums for place, sums in enumerate((counts @ values.T).T)},
        count,
        resamples=resamples,
        seed=seed,
    )
    return np.stack([found[str(place)] for place in range(len(values))])


def difference_over_seeds(first: Floats, second: Floats, level: float) -> PairedDifference:
    """The difference of two ways to train, from the mean scores (K,) and (K',) of their networks, 2 of each at least.

    Where the seeds of each side gave one and the same value, their spread is unknown: the interval is infinite.

    Source: Welch 1947.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError(f"{len(first)} and {len(second)} seeds: two of each are needed")
    sides = [float(side.var(ddof=1)) / len(side) for side in (first, second)]
    seeds, value = (len(first), len(second)), float(first.mean() - second.mean())
    return _by_t(value, math.sqrt(sum(sides)), _welch_degrees(sides, seeds), level, "seeds", seeds, 0)


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """The test over two networks' right (True) and wrong answers, (N,) each."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    count, fewer = only_first + only_second, min(only_first, only_second)
    # exp(lgamma) keeps the terms in range where 2 ** count is beyond a float.
    terms = [
        math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) - count * math.log(2)
        for k in range(fewer + 1)
    ]
    return McNemar(only_first, only_second, min(1.0, 2 * math.fsum(math.exp(term) for term in terms)))


def _by_parts(
    value: float,
    parts: tuple[float, float, float],
    degrees: tuple[float, float],
    level: float,
    seeds: tuple[int, int],
    samples: int,
) -> PairedDifference:
    """The interval around `value` whose half width is the root of a sum: each part times its own t point squared.

    For normal parts such an interval holds `level` or more, whatever their variances are. The residual stays with the
    seeds' part: whether seeds differ beyond it is not for a few of them to say. Where they happen to differ by less,
    the residual itself, which rests on all samples, takes their place.

    parts    variance between samples, between seeds, and the residual that both contain
    degrees  of freedom of the first two
    Source: Banerjee 1961.
    """
    of_samples, of_seeds = (two_sided_point(1 - level, of) for of in degrees)
    between_samples, between_seeds, residual = parts
    alone = max(0.0, between_samples - residual)
    margin = math.sqrt(of_samples**2 * alone + max(of_seeds**2 * between_seeds, of_samples**2 * residual))
    return PairedDifference(value, value - margin, value + margin, level, None, "seeds and samples", seeds, samples)


def _welch_degrees(parts: Sequence[float], seeds: tuple[int, int]) -> float:
    """Degrees of freedom of a sum of two variances of mean scores, each from its own seeds."""
    freedom = sum(part**2 / (of - 1) for part, of in zip(parts, seeds, strict=True))
    return sum(parts) ** 2 / freedom if freedom > 0 else float(min(seeds) - 1)


def _residual(scores: Floats) -> float:
    """Variance of a side's mean score by what neither its seeds nor its samples explain; scores (K, N)."""
    seeds, samples = scores.shape
    left = scores - scores.mean(axis=0) - scores.mean(axis=1, keepdims=True) + scores.mean()
    return float(np.square(left).sum()) / float((seeds - 1) * (samples - 1) * seeds * samples)


def _by_t(
    value: float, error: float, degrees: float, level: float, about: str, seeds: tuple[int, int], samples: int
) -> PairedDifference:
    """The t interval around `value` with standard error `error`; infinite for seeds that differ in nothing."""
    if about == "seeds" and error == 0 and value:
        return PairedDifference(value, -math.inf, math.inf, level, None, about, seeds, samples)
    margin = two_sided_point(1 - level, degrees) * error
    alone = 0.0 if value else 1.0  # with no variance at all, any difference is beyond doubt
    p_value = two_sided(value / error, degrees) if error > 0 else alone
    return PairedDifference(value, value - margin, value + margin, level, p_value, about, seeds, samples)
