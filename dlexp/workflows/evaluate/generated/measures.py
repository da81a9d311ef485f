"""The figures of samples, each beside the same figure of real samples in their place.

Symbols: N samples, M real samples of the evaluated split, F features, D numbers of a sample, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import Modes
from dlexp.metrics.bootstrap import Interval
from dlexp.metrics.generative.distances import class_distance, frechet_distance
from dlexp.metrics.generative.names import FRECHET
from dlexp.metrics.generative.nearest import (
    Nearest,
    Neighborhoods,
    copy_threshold,
    covered_modes,
    in_modes,
    nearest_of,
)
from dlexp.metrics.intervals.classes import EXACT
from dlexp.metrics.intervals.shares import exact
from dlexp.workflows.evaluate.generated.reading import TrainingPieces

Floats = NDArray[np.float64]
Classes = NDArray[np.int64]
Pixels = NDArray[np.float32]
NEIGHBORS = 3
FEWEST = NEIGHBORS + 1  # samples of each set
MOST_NEIGHBORS = 5000  # samples between which distances are measured
_COPY_WORK = 4e11  # multiply-adds of the search for copies
_FEWEST = 500
_REACH = 3.0  # standard deviations from a mode that a good sample is at most
_NO_INTERVAL = "a resample repeats samples, which alone moves it away from the real ones"


@dataclass(frozen=True)
class SampleFigure:
    """A figure of samples.

    Attributes:
        value: Of the samples.
        real: The same of real samples in their place; None where there is no such.
        hits, trials: Of a share; None for other figures.
    """

    value: float
    real: float | None = None
    hits: int | None = None
    trials: int | None = None

    @classmethod
    def share(cls, hits: NDArray[np.bool_], real: NDArray[np.bool_] | None) -> SampleFigure:
        """The share of true values, (N,), beside that of real samples."""
        of_real = None if real is None else float(real.mean())
        return cls(float(hits.mean()), of_real, int(hits.sum()), len(hits))

    def interval(self, level: float) -> Interval:
        """Of a share that of Clopper and Pearson; other figures have none."""
        if self.hits is None or self.trials is None:
            return Interval(None, None, reason=_NO_INTERVAL)
        low, high = exact(self.hits, self.trials, level)
        return Interval(float(low), float(high), method=EXACT)


@dataclass(frozen=True)
class SampleFeatures:
    """Features of samples.

    Attributes:
        samples: (N, F) of those that were made.
        stand_in: (K, F) of real ones in their place.
        reference: (M, F) of the evaluated split.
    """

    samples: Floats
    stand_in: Floats
    reference: Floats


@dataclass(frozen=True)
class Copies:
    """How near samples are to training samples.

    Attributes:
        nearest: Of each sample that was looked at, the first of them.
        held_out: (M,) distances of real samples that were not trained on.
        threshold: The distance up to which a sample counts as a copy.
    """

    nearest: Nearest
    held_out: Floats
    threshold: float

    @property
    def figure(self) -> SampleFigure:
        """The share of copies, beside that of the held-out samples."""
        return SampleFigure.share(self.nearest.distances <= self.threshold, self.held_out <= self.threshold)


def feature_figures(features: SampleFeatures) -> Iterator[tuple[str, SampleFigure]]:
    """Name -> distance of the Gaussians; precision, recall and coverage by the nearest neighbors.

    Each of the three sets has at least `FEWEST` samples.
    """
    samples, stand_in, reference = features.samples, features.stand_in, features.reference
    yield FRECHET, SampleFigure(frechet_distance(samples, reference), frechet_distance(stand_in, reference))
    yield from _neighbor_figures(features)


def _neighbor_figures(features: SampleFeatures) -> Iterator[tuple[str, SampleFigure]]:
    """Balls of samples are as many as real ones: with more of them everything would be near."""
    reference = features.reference[:MOST_NEIGHBORS]
    count = min(len(features.samples), len(features.stand_in), len(reference))
    samples, stand_in = features.samples[:count], features.stand_in[:count]
    real = Neighborhoods.of(reference, NEIGHBORS)
    precision = (real.holding(part) > 0 for part in (features.samples[:MOST_NEIGHBORS], stand_in))
    yield "precision", SampleFigure.share(*precision)
    recall = (Neighborhoods.of(part, NEIGHBORS).holding(reference) > 0 for part in (samples, stand_in))
    yield "recall", SampleFigure.share(*recall)
    yield "coverage", SampleFigure.share(real.covered(samples), real.covered(stand_in))


def agreement_figure(asked: Classes, found: Classes, accuracy: float) -> SampleFigure:
    """The share of samples whose class (N,) is the one that was asked for, beside the classifier's accuracy."""
    agreement = SampleFigure.share(asked == found, None)
    return replace(agreement, real=accuracy)


def shares_figure(found: Classes, stand_in: Classes, reference: Classes, num_classes: int) -> SampleFigure:
    """The distance of the shares of the classes to those of the evaluated split, all as the classifier finds them."""
    counts = [np.bincount(one, minlength=num_classes) for one in (found, stand_in, reference)]
    return SampleFigure(class_distance(counts[0], counts[2]), class_distance(counts[1], counts[2]))


def mode_figures(samples: Floats, stand_in: Floats, modes: Modes) -> Iterator[tuple[str, SampleFigure]]:
    """Name -> number of modes that have samples, and the share of samples within 3 deviations of a mode.

    Args:
        samples: (N, F) in the units of the data.
        stand_in: (K, F) real samples in their place.
        modes: Of the distribution that the data were drawn from.
    """
    count = len(modes.centers)
    made, real = (in_modes(one, modes.centers, _REACH * modes.std) for one in (samples, stand_in))
    yield "modes", SampleFigure(covered_modes(made, count), covered_modes(real, count))
    yield "good_samples", SampleFigure.share(made >= 0, real >= 0)


def find_copies(samples: Pixels, held_out: Pixels, training: TrainingPieces) -> Copies:
    """Search the training samples for those next to each sample; of very much data for the first samples alone.

    Args:
        samples: (N, D).
        held_out: (M, D) real samples that were not trained on.
        training: All training samples; read twice.
    """
    affordable = max(_FEWEST, int(_COPY_WORK / max(1, len(training) * samples.shape[1])))
    few = held_out[:affordable]
    near = nearest_of(few, training)
    size = float(np.sqrt(np.square(few.astype(np.float64)).sum(axis=1).mean()))
    return Copies(nearest_of(samples[:affordable], training), near.distances, copy_threshold(near.distances, size))
