"""Scores or probabilities of classes, and every metric that follows from them.

Symbols: N samples, C classes, R resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dlexp.metrics import calibration
from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.confusion import Numbers, Tally, of_classes, per_class, tally
from dlexp.metrics.outputs import ClassOutputs, Judged
from dlexp.metrics.ranking import Curve, areas, averaged, curve

RANKING = ("roc_auc", "roc_auc_weighted", "average_precision", "average_precision_weighted")
OF_PROBABILITIES = ("log_loss", "brier", "calibration_error")
TOP = (3, 5)
_CELLS = 1 << 19  # scores of some classes at a time, 4 MiB


@dataclass(frozen=True)
class ClassSamples:
    """What was said of N samples.

    outputs  (N, C), the largest says the class; of equals the first
    targets  (N,) class numbers
    """

    outputs: ClassOutputs
    targets: Numbers

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def num_classes(self) -> int:
        """C."""
        return self.outputs.num_classes

    @cached_property
    def judged(self) -> Judged:
        """Every sample against its true class."""
        return self.outputs.judged(self.targets)

    @property
    def predicted(self) -> Numbers:
        """(N,) class numbers."""
        return self.judged.predicted

    @property
    def is_finite(self) -> bool:
        """Whether every sample's outputs say something."""
        return self.outputs.is_finite

    def losses(self) -> Floats:
        """(N,) how wrong each sample is: -ln p of the true class, or by how much another score exceeds the true one."""
        return self.judged.losses

    @cached_property
    def cells(self) -> tuple[Numbers, Numbers, Numbers]:
        """The cells of the confusion matrix that are not 0, by row and column: true class, predicted class, samples."""
        pairs, samples = np.unique(self.targets * self.num_classes + self.predicted, return_counts=True)
        return pairs // self.num_classes, pairs % self.num_classes, samples

    @cached_property
    def each(self) -> dict[str, Floats]:
        """Metric -> its value for each class, (C,); NaN where a class has none."""
        return {name: column[0] for name, column in per_class(self._tally).items()} | self._each_area

    def values(self, ranking: bool = True) -> dict[str, float]:
        """Metric -> value, NaN where it has none; `ranking` says whether the areas, which take most time, are there."""
        found = dict(of_classes(self._tally)) | self._means(np.ones((1, len(self))))
        if ranking:
            found |= self._ranking({name: area[None] for name, area in self._each_area.items()}, self._tally.true)
        return {name: float(column[0]) for name, column in found.items()}

    def chosen(self, names: Sequence[str]) -> dict[str, float]:
        """The metrics `names` alone; NaN for one that is undefined."""
        found = self.values(ranking=bool(set(names) & set(RANKING)))
        return {name: found.get(name, float("nan")) for name in names}

    def curves(self, most: int) -> dict[int, Curve]:
        """Class -> curve, of the classes that have one, `most` of them: those with the smallest areas."""
        found = self._each_area["roc_auc"]
        defined = [int(c) for c in np.argsort(found, kind="stable") if np.isfinite(found[c])]
        return {c: curve(self.outputs.columns(c, c + 1)[:, 0], self.targets == c) for c in sorted(defined[:most])}

    def why(self, name: str, class_names: Sequence[str]) -> str:
        """Why a metric has no value."""
        counts = np.bincount(self.targets, minlength=self.num_classes)
        if not self.is_finite and name in (*RANKING, *OF_PROBABILITIES):
            rows = int((~self.outputs.is_finite_row).sum())
            return f"{rows:,} of {len(self):,} samples have outputs that are not finite"
        if name in OF_PROBABILITIES:
            rows = int(np.isinf(self.judged.losses).sum())
            return f"{rows:,} of {len(self):,} samples have a true class of probability 0"
        if (counts > 0).sum() == 1:
            return f"every sample is of the class {class_names[int(counts.argmax())]}"
        missing = [class_names[int(c)] for c in np.flatnonzero(counts == 0)]
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        return f"no sample of the class {', '.join(missing[:3])}{more} is in this split"

    @cached_property
    def sample_columns(self) -> dict[str, Floats]:
        """Metric -> columns (N, K) such that the metric is the sum of |sum over samples| over them, over N."""
        judged = self.judged
        found = {f"top_{k}_accuracy": (judged.rank < k)[:, None].astype(float) for k in TOP if k < self.num_classes}
        if self.outputs.probabilistic:
            found["log_loss"] = judged.losses[:, None]
            found["brier"] = judged.brier[:, None]
            found["calibration_error"] = calibration.gaps(judged.confidence, judged.predicted == self.targets)
        return found

    @cached_property
    def _tally(self) -> Tally:
        return tally(self.targets, self.predicted, self.num_classes)(np.ones((1, len(self))))

    @np.errstate(invalid="ignore", over="ignore")  # outputs that are not finite are told by their NaN
    def _means(self, counts: Floats) -> dict[str, Floats]:
        samples = counts.sum(axis=1)
        return {name: np.abs(counts @ columns).sum(axis=1) / samples for name, columns in self.sample_columns.items()}

    @cached_property
    def _each_area(self) -> dict[str, Floats]:
        """Areas under the ROC curves, and average precisions, (C,) each."""
        found = np.full((2, self.num_classes), np.nan)
        if self.is_finite:
            by_class = np.argsort(self.targets, kind="stable")
            ends = np.cumsum(np.bincount(self.targets, minlength=self.num_classes))
            for c, scores in self._class_scores():
                found[:, c] = areas(scores, by_class[ends[c - 1] if c else 0 : ends[c]])
        return {"roc_auc": found[0], "average_precision": found[1]}

    def _class_scores(self) -> Iterator[tuple[int, Floats]]:
        """Each class with what ranks the samples for it, (N,)."""
        width = max(1, _CELLS // len(self))
        for first in range(0, self.num_classes, width):
            columns = self.outputs.columns(first, min(first + width, self.num_classes))
            yield from enumerate(np.ascontiguousarray(columns.T), start=first)

    def _ranking(self, each: Mapping[str, Floats], true: Floats) -> dict[str, Floats]:
        found = {}
        for name in ("roc_auc", "average_precision"):
            found[name], found[f"{name}_weighted"] = averaged(each[name], true)
            if self.num_classes == 2:
                found[name] = each[name][:, 1]
        return found
