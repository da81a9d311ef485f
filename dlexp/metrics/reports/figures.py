"""Figures of a report, as the numbers that they show: nothing here draws, and a report can be made without matplotlib.

A figure's `caption` says what it shows; `{split}` in it stands for the name of the split.

Symbols: N samples, C classes, K some of the samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.calibration import Bin
from dlexp.metrics.ranking import RankingCurve

Cell = tuple[int, int, int]


@dataclass(frozen=True)
class ConfusionMatrix:
    """How often each class is called what.

    cells     (true, predicted, samples) of each cell that is not 0
    names     C class names
    is_share  write shares of each true class in place of counts
    """

    caption: str
    cells: Sequence[Cell]
    names: Sequence[str]
    is_share: bool = False

    @property
    def counts(self) -> NDArray[np.int64]:
        """(C, C): rows are the true classes."""
        return matrix_of(self.cells, len(self.names))


@dataclass(frozen=True)
class RankingCurves:
    """ROC curves of classes, or their precision over recall.

    curves       class name -> curve
    areas        class name -> area under it, in [0, 1]
    num_classes  C, of which `curves` may hold some
    is_roc       false for precision over recall
    """

    caption: str
    curves: Mapping[str, RankingCurve]
    areas: Mapping[str, float]
    num_classes: int
    is_roc: bool


@dataclass(frozen=True)
class ReliabilityDiagram:
    """Accuracy over confidence; `error` is the expected calibration error, in [0, 1]."""

    caption: str
    bins: Sequence[Bin]
    error: float


@dataclass(frozen=True)
class TrueAndPredicted:
    """Values of one target, (N,) each and in its unit; with `is_residual` what is left over the predicted ones."""

    caption: str
    target: str
    true: Floats
    predicted: Floats
    is_residual: bool = False


@dataclass(frozen=True)
class SampleImages:
    """Samples of the split as images, where it holds some.

    positions  (K,) of the samples in the split
    captions   (true, predicted, how sure) of each
    """

    caption: str
    positions: Sequence[int]
    captions: Sequence[tuple[str | float, str | float, str]]


@dataclass(frozen=True)
class Lines:
    """Lines of any kind.

    lines  label -> (x, y), of the same length
    """

    caption: str
    x_label: str
    y_label: str
    lines: Mapping[str, tuple[Floats, Floats]]


@dataclass(frozen=True)
class TokenValues:
    """Texts, each token of which has a value, such as its loss.

    titles  of each text
    tokens  of each text, as they are shown
    values  of each text, one for each of its tokens, at least 0
    """

    caption: str
    titles: Sequence[str]
    tokens: Sequence[Sequence[str]]
    values: Sequence[Sequence[float]]


@dataclass(frozen=True)
class AttentionMaps:
    """Where a network looked in a sample.

    source, target  names of the positions
    maps            name of a layer -> (heads, target positions, source positions), in [0, 1]
    """

    caption: str
    source: Sequence[str]
    target: Sequence[str]
    maps: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of one series beside what came.

    target     what is forecast
    begins     (K,) the first step of each forecast in the series
    true       (K, H) in the unit of the target
    predicted  (K, H)
    bounds     q0.1 and so on -> (K, H)
    times      (K, H) datetime64[us] or float64 of the steps; None where nobody knows them
    """

    caption: str
    target: str
    begins: NDArray[np.int64]
    true: Floats
    predicted: Floats
    bounds: Mapping[str, Floats]
    times: NDArray[Any] | None = None


@dataclass(frozen=True)
class ClassShares:
    """Shares of classes in several sets.

    names   C names
    series  label -> shares (C,)
    """

    caption: str
    names: Sequence[str]
    series: Mapping[str, Floats]


@dataclass(frozen=True)
class ImageRows:
    """Images of some samples, several beside each other of each.

    versions  one array each: (K, H, W) or (K, H, W, 3) uint8
    labels    K texts
    """

    caption: str
    versions: Sequence[NDArray[np.uint8]]
    labels: Sequence[str]


@dataclass(frozen=True)
class Points:
    """Points of a plane.

    series  label -> (N, 2); later ones are drawn over earlier ones
    """

    caption: str
    series: Mapping[str, Floats]


@dataclass(frozen=True)
class ImagePairs:
    """Samples of the split above what a network makes of them, where they are images.

    positions        (K,) of the samples in the split
    captions         of each
    originals        (K, 1 or 3, H, W) in [0, 1]; None until somebody reads the samples
    reconstructions  the same of the network
    """

    caption: str
    positions: Sequence[int]
    captions: Sequence[str]
    originals: Floats | None = None
    reconstructions: Floats | None = None


@dataclass(frozen=True)
class ImageVersions:
    """Samples of the split with what is made of them, side by side.

    positions  (K,) of the samples in the split
    labels     of each
    versions   name -> images (K, 1 or 3, H, W) in [0, 1]; empty until somebody reads the samples
    """

    caption: str
    positions: Sequence[int]
    labels: Sequence[str]
    versions: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class Histogram:
    """How often values occur.

    values  label -> (N,), drawn over each other
    marks   label -> a value that is marked by a line
    """

    caption: str
    x_label: str
    values: Mapping[str, Floats]
    marks: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Bars:
    """A bar for each name; `values` (N,) are at least 0."""

    caption: str
    x_label: str
    y_label: str
    names: Sequence[str]
    values: Floats


@dataclass(frozen=True)
class Scatter:
    """Samples as points.

    axes     what the two coordinates are
    points   (N, 2)
    classes  (N,) class numbers, None for points of one color
    names    of the classes
    """

    caption: str
    axes: str
    points: Floats
    classes: NDArray[np.int64] | None
    names: Sequence[str]


Figure = (
    ConfusionMatrix
    | RankingCurves
    | ReliabilityDiagram
    | TrueAndPredicted
    | SampleImages
    | Lines
    | TokenValues
    | AttentionMaps
    | Forecasts
    | ClassShares
    | ImageRows
    | Points
    | ImagePairs
    | ImageVersions
    | Histogram
    | Bars
    | Scatter
)


def matrix_of(cells: Sequence[Cell], num_classes: int) -> NDArray[np.int64]:
    """(C, C) counts; with very many classes only the cells fit into memory."""
    whole = np.zeros((num_classes, num_classes), dtype=np.int64)
    for true, predicted, samples in cells:
        whole[true, predicted] = samples
    return whole
