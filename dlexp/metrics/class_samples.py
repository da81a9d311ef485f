"""Scores or probabilities of classes, and every metric that follows from them.

Symbols: B batch, N samples, C classes, R resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.calibration import Gaps
from dlexp.metrics.confusion import Numbers, Tally, of_classes, per_class
from dlexp.metrics.outputs import ClassOutputs, OutputKind, SampleResults
from dlexp.metrics.ranking import RankingCurve, areas, averaged, curve, thinned
from dlexp.metrics.row_store import RowStore
from dlexp.metrics.states import MetricState
from dlexp.types import Prediction

RANKING = ("roc_auc", "roc_auc_weighted", "average_precision", "average_precision_weighted")
OF_PROBABILITIES = ("log_loss", "brier", "calibration_error")
TOP = (3, 5)
_CELLS = 1 << 19  # scores of some classes at a time, 4 MiB
_WAITING = 1 << 17  # outputs that wait for their results to be computed


@dataclass(frozen=True)
class ClassSamples:
    """Outputs for N samples and their true classes, with every metric of them.

    outputs  (N, C), the largest says the class; of equals the first
    targets  (N,) class numbers
    known    the results of each sample, where they were computed already
    """

    outputs: ClassOutputs
    targets: Numbers
    known: SampleResults | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def num_classes(self) -> int:
        """C."""
        return self.outputs.num_classes

    @cached_property
    def results(self) -> SampleResults:
        """Every sample against its true class."""
        return self.known or self.outputs.results(self.targets)

    @property
    def predicted(self) -> Numbers:
        """(N,) class numbers."""
        return self.results.predicted

    @property
    def is_finite(self) -> bool:
        """True where the outputs of every sample are finite."""
        return self.outputs.is_finite

    def losses(self) -> Floats:
        """(N,) how wrong each sample is: -ln p of the true class, or by how much another score exceeds the true one."""
        return self.results.losses

    @cached_property
    def cells(self) -> tuple[Numbers, Numbers, Numbers]:
        """The cells of the confusion matrix that are not 0, by row and column: true class, predicted class, samples."""
        pairs, samples = np.unique(self.targets * self.num_classes + self.predicted, return_counts=True)
        return pairs // self.num_classes, pairs % self.num_classes, samples

    @cached_property
    def each(self) -> dict[str, Floats]:
        """Metric -> its value for each class, (C,); NaN where a class has none."""
        return {name: column[0] for name, column in per_class(self.tally).items()} | self._each_area

    def values(self, ranking: bool = True) -> dict[str, float]:
        """Metric -> value, NaN where it has none; without `ranking` the areas, which take most time, are left out."""
        found = dict(of_classes(self.tally)) | self._means()
        if ranking:
            found |= self._ranking({name: area[None] for name, area in self._each_area.items()}, self.tally.true)
        return {name: float(column[0]) for name, column in found.items()}

    def chosen(self, names: Sequence[str]) -> dict[str, float]:
        """The metrics `names` alone; NaN for one that is undefined."""
        found = self.values(ranking=bool(set(names) & set(RANKING)))
        return {name: found.get(name, float("nan")) for name in names}

    def curves(self, most: int) -> dict[int, RankingCurve]:
        """Class -> curve, of the classes that have one, `most` of them: those with the smallest areas."""
        found = self._each_area["roc_auc"]
        defined = [int(c) for c in np.argsort(found, kind="stable") if np.isfinite(found[c])]
        return {
            c: thinned(curve(self.outputs.columns(c, c + 1)[:, 0], self.targets == c)) for c in sorted(defined[:most])
        }

    def why(self, name: str, class_names: Sequence[str]) -> str:
        """The reason why a metric has no value."""
        counts = np.bincount(self.targets, minlength=self.num_classes)
        if not self.is_finite and name in (*RANKING, *OF_PROBABILITIES):
            rows = int((~self.outputs.is_finite_row).sum())
            return f"{rows:,} of {len(self):,} samples have outputs that are not finite"
        if name in OF_PROBABILITIES:
            rows = int(np.isinf(self.results.losses).sum())
            return f"{rows:,} of {len(self):,} samples have a true class of probability 0"
        if (counts > 0).sum() == 1:
            return f"every sample is of the class {class_names[int(counts.argmax())]}"
        missing = [class_names[int(c)] for c in np.flatnonzero(counts == 0)]
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        return f"no sample of the class {', '.join(missing[:3])}{more} is in this split"

    @cached_property
    def sample_columns(self) -> dict[str, Floats]:
        """Metric -> column (N,) that it is the mean of."""
        results = self.results
        found = {f"top_{k}_accuracy": (results.rank < k).astype(float) for k in TOP if k < self.num_classes}
        if self.outputs.is_probabilistic:
            found |= {"log_loss": results.losses, "brier": results.brier}
        return found

    @cached_property
    def gaps(self) -> Gaps:
        """Confidence less correctness of each sample, where there are probabilities."""
        return Gaps(self.results.confidence, self.results.predicted == self.targets)

    @cached_property
    def tally(self) -> Tally:
        """Samples of each class, true, predicted and both, (1, C) each."""
        right = self.targets[self.targets == self.predicted]
        counted = (np.bincount(kind, minlength=self.num_classes) for kind in (right, self.targets, self.predicted))
        return Tally(*(counts[None].astype(np.float64) for counts in counted))

    @np.errstate(invalid="ignore", over="ignore")  # outputs that are not finite show as NaN
    def _means(self) -> dict[str, Floats]:
        ones = np.ones((1, len(self)))
        found = {
            name: np.abs(ones @ column[:, None]).sum(axis=1) / len(self) for name, column in self.sample_columns.items()
        }
        if self.outputs.is_probabilistic:
            found["calibration_error"] = np.abs(self.gaps.sums(ones)).sum(axis=1) / len(self)
        return found

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
        """Each class with the scores that rank the samples for it, (N,)."""
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


class ClassSampleState(MetricState):
    """The targets and results of every sample, and where areas or a report need them the outputs themselves.

    It keeps 64 bytes a sample. An exact area under a curve ranks every sample by every class, so for those and for a
    report it keeps the C outputs of a sample too: 4 C bytes, 8 C of float64.
    """

    def __init__(
        self, num_classes: int, *, is_probabilistic: bool, names: Sequence[str] = (), keeps_outputs: bool = False
    ) -> None:
        """Begin without samples.

        Args:
            num_classes: C.
            is_probabilistic: true where the outputs are probabilities, false where they are scores.
            names: metrics that `compute` returns.
            keeps_outputs: keep the outputs for a report, whatever the names.
        """
        self._num_classes, self._is_probabilistic, self._names = num_classes, is_probabilistic, tuple(names)
        self._keeps_outputs = keeps_outputs or bool(set(names) & set(RANKING))
        self._kind: OutputKind | None = None
        self._waiting: list[tuple[NDArray[Any], Numbers]] = []
        self._targets, self._indices = RowStore[np.int64](), RowStore[np.int64]()
        self._outputs = RowStore[Any]()
        self._results = tuple(RowStore[Any]() for _ in fields(SampleResults))

    @property
    def num_bytes(self) -> int:
        """Bytes that the samples take."""
        self._flush()
        return sum(store.num_bytes for store in self._stores)

    def update(self, prediction: Prediction) -> None:
        """Add a batch: outputs (B, C) or logits (B, C), targets (B,) class numbers."""
        outputs, targets, kind = self._of(prediction)
        if self._kind not in (None, kind):
            raise ValueError(f"outputs must all be {self._kind}, got {kind}")
        self._kind = kind
        self._indices.append(prediction.indices.cpu().numpy())
        self._waiting.append((outputs, targets))
        if sum(part.size for part, _ in self._waiting) >= _WAITING:
            self._flush()

    def merge(self, other: Self) -> None:
        """Add the samples of another state, after those of this one."""
        for state in (self, other):
            state._flush()
        if self._kind is not None and other._kind not in (None, self._kind):
            raise ValueError(f"outputs must all be {self._kind}, got {other._kind}")
        self._kind = self._kind or other._kind
        for own, more in zip(self._stores, other._stores, strict=True):
            own.extend(more)

    def compute(self) -> dict[str, float]:
        """The metrics `names`; NaN for one that is undefined."""
        return self.samples().chosen(self._names) if self._names else {}

    def samples(self) -> ClassSamples:
        """All samples. Raises ValueError when there are none."""
        self._flush()
        if self._kind is None:
            raise ValueError("no sample was evaluated")
        outputs = ClassOutputs(self._outputs.parts, self._kind, self._num_classes)
        results = SampleResults(*(store.joined() for store in self._results))
        return ClassSamples(outputs, self._targets.joined(), results)

    def indices(self) -> Numbers:
        """(N,) the number of each sample in its source."""
        return self._indices.joined()

    @property
    def _stores(self) -> tuple[RowStore[Any], ...]:
        return self._targets, self._indices, self._outputs, *self._results

    def _of(self, prediction: Prediction) -> tuple[NDArray[Any], Numbers, OutputKind]:
        """(outputs, targets, kind) of a batch."""
        has_logits = self._is_probabilistic and prediction.logits is not None
        outputs = prediction.logits if has_logits and prediction.logits is not None else prediction.outputs
        wide = outputs if outputs.dtype in (torch.float32, torch.float64) else outputs.float()
        kind: OutputKind = "logits" if has_logits else "probabilities" if self._is_probabilistic else "scores"
        return wide.cpu().numpy(), prediction.known_targets.cpu().numpy(), kind

    def _flush(self) -> None:
        """Compute the results of the batches that wait: of many small ones at a time, which takes less time."""
        if not self._waiting or self._kind is None:
            return
        batches = self._waiting
        outputs = batches[0][0] if len(batches) == 1 else np.concatenate([part for part, _ in batches])
        targets = np.concatenate([part for _, part in batches])
        self._waiting = []
        results = ClassOutputs([outputs], self._kind).results(targets)
        self._targets.append(targets)
        for store, field in zip(self._results, fields(SampleResults), strict=True):
            store.append(getattr(results, field.name))
        if self._keeps_outputs:
            self._outputs.append(outputs)
