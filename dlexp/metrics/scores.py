"""Scores or probabilities of classes, and every metric that follows from them.

Symbols: N samples, C classes, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dlexp.metrics import calibration
from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.classes import Numbers, of_classes, per_class, ranks, tally
from dlexp.metrics.ranking import Areas, Counts, Curve, areas, averaged, curve

RANKING = ("roc_auc", "roc_auc_weighted", "average_precision", "average_precision_weighted")
OF_PROBABILITIES = ("log_loss", "brier", "calibration_error")
TOP = (3, 5)


@dataclass(frozen=True)
class ClassSamples:
    """What was said of N samples.

    outputs        (N, C), the largest says the class; of equals the first
    targets        (N,) class numbers
    probabilistic  whether the outputs are probabilities
    """

    outputs: Floats
    targets: Numbers
    probabilistic: bool

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def num_classes(self) -> int:
        """C."""
        return int(self.outputs.shape[1])

    @cached_property
    def predicted(self) -> Numbers:
        """(N,) class numbers."""
        return np.asarray(self.outputs.argmax(axis=1))

    @cached_property
    def is_finite(self) -> bool:
        """Whether every output is a number."""
        return bool(np.isfinite(self.outputs).all())

    def losses(self) -> Floats:
        """(N,) how wrong each sample is: -ln p of the true class, or by how much another score exceeds the true one."""
        if self.probabilistic:
            return calibration.log_losses(self.outputs, self.targets)
        is_true = np.arange(self.num_classes) == self.targets[:, None]
        others: Floats = np.where(is_true, -np.inf, self.outputs).max(axis=1)
        return np.asarray(others - self.outputs[is_true])

    def statistic(self, ranking: bool = True) -> Callable[[Floats], dict[str, Floats]]:
        """What counts (R, N) give: metric -> (R,), NaN where a resample has none.

        Of each class too, as `precision/4` for class 4. The areas of `RANKING` take most of the time; False leaves
        them out.
        """
        tallied, columns = tally(self.targets, self.predicted, self.num_classes), self._columns()
        stacked = np.concatenate(list(columns.values()), axis=1)
        edges = np.cumsum([column.shape[1] for column in columns.values()])[:-1]

        @np.errstate(invalid="ignore", over="ignore")  # outputs that are not finite are told by their NaN
        def of(counts: Floats) -> dict[str, Floats]:
            found = tallied(counts)
            samples = counts.sum(axis=1)
            sums = dict(zip(columns, np.split(counts @ stacked, edges, axis=1), strict=True))
            means = {name: np.abs(column).sum(axis=1) / samples for name, column in sums.items()}
            each = dict(per_class(found))
            values = of_classes(found) | means
            if ranking:
                each |= self._areas(counts)
                values |= self._ranking(each, found.true)
            return values | {f"{kind}/{c}": column[:, c] for kind, column in each.items() for c in self._classes}

        return of

    def chosen(self, names: Sequence[str]) -> dict[str, float]:
        """The metrics `names` alone; NaN for one that is undefined."""
        found = self.statistic(ranking=bool(set(names) & set(RANKING)))(np.ones((1, len(self))))
        return {name: float(found[name][0]) if name in found else float("nan") for name in names}

    def curves(self, most: int) -> dict[int, Curve]:
        """Class -> curve, of the classes that have one, `most` of them: those with the smallest areas."""
        if not self.is_finite:
            return {}
        found = self._areas(np.ones((1, len(self))))["roc_auc"][0]
        defined = [int(c) for c in np.argsort(found, kind="stable") if np.isfinite(found[c])]
        return {c: curve(self.outputs[:, c], self.targets == c) for c in sorted(defined[:most])}

    def why(self, name: str, class_names: Sequence[str]) -> str:
        """Why a metric has no value."""
        counts = np.bincount(self.targets, minlength=self.num_classes)
        if not self.is_finite and name in (*RANKING, *OF_PROBABILITIES):
            rows = int((~np.isfinite(self.outputs).all(axis=1)).sum())
            return f"{rows:,} of {len(self):,} samples have outputs that are not finite"
        if (counts > 0).sum() == 1:
            return f"every sample is of the class {class_names[int(counts.argmax())]}"
        missing = [class_names[int(c)] for c in np.flatnonzero(counts == 0)]
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        return f"no sample of the class {', '.join(missing[:3])}{more} is in this split"

    @property
    def _classes(self) -> range:
        return range(self.num_classes)

    def _columns(self) -> dict[str, Floats]:
        """Metric -> columns (N, K) such that the metric is the sum of |sum over samples| over them, over N."""
        rank = ranks(self.outputs, self.targets)
        found = {f"top_{k}_accuracy": (rank < k)[:, None].astype(np.float64) for k in TOP if k < self.num_classes}
        if self.probabilistic:
            found["log_loss"] = calibration.log_losses(self.outputs, self.targets)[:, None]
            found["brier"] = calibration.brier_scores(self.outputs, self.targets)[:, None]
            found["calibration_error"] = calibration.gaps(self.outputs, self.targets)
        return found or {"": np.zeros((len(self), 0))}

    @cached_property
    def _ranked(self) -> list[Callable[[Counts], Areas]]:
        return [areas(self.outputs[:, c], self.targets == c) for c in self._classes]

    def _areas(self, counts: Floats) -> dict[str, Floats]:
        """(R, C) areas under the ROC curves, and average precisions."""
        if not self.is_finite:
            nothing = np.full((len(counts), self.num_classes), np.nan)
            return {"roc_auc": nothing, "average_precision": nothing}
        # Half the bytes, and still exact: counts and their sums are whole numbers.
        light: Counts = counts.astype(np.float32) if len(self) < 1 << 24 and len(counts) > 1 else counts
        roc, precision = zip(*(of(light) for of in self._ranked), strict=True)
        return {"roc_auc": np.stack(roc, axis=1), "average_precision": np.stack(precision, axis=1)}

    def _ranking(self, each: Mapping[str, Floats], true: Floats) -> dict[str, Floats]:
        found = {}
        for name in ("roc_auc", "average_precision"):
            found[name], found[f"{name}_weighted"] = averaged(each[name], true)
            if self.num_classes == 2:
                found[name] = each[name][:, 1]
        return found
