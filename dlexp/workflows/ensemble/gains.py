"""What several networks gain over one, on the same samples, and how much they differ.

Gains are differences of mean scores of the same N samples, with paired intervals over the samples, as `dlexp compare`
makes them; above 0 the ensemble is better. They are of these very networks.

Symbols: K members, N samples, C classes, O values of a sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.assemble.experiment import Experiment
from dlexp.metrics.calibration import Gaps
from dlexp.metrics.ensembles.diversity import class_diversity, value_diversity
from dlexp.metrics.ensembles.temperature import tempered, true_losses
from dlexp.metrics.intervals.blocks import LEAST_BLOCKS, time_blocks
from dlexp.metrics.intervals.paired_blocks import TimeBlocks, over_blocks
from dlexp.metrics.intervals.paired_difference import PairedDifference, mcnemar, over_samples
from dlexp.metrics.reports.forecasts import ForecastRows
from dlexp.sequence_specs import ForecastSpec
from dlexp.specs import ValueSpec
from dlexp.workflows.compare.measure import Measure
from dlexp.workflows.ensemble.outputs import SplitOutputs

Floats = NDArray[np.float64]
LEVEL = 0.95
CALIBRATED = "calibrated_log_loss"
_MAXIMIZED = ("accuracy",)
_SEED = 0  # of the resampling


@dataclass(frozen=True)
class Scores:
    """Scores of N samples by metric, whose means are the metrics; and metrics of all samples that are no such means."""

    samples: Mapping[str, Floats]
    others: Mapping[str, float]

    def metrics(self) -> dict[str, float | None]:
        """Name -> value, None where it is infinite."""
        found = {name: float(values.mean()) for name, values in self.samples.items()} | dict(self.others)
        return {name: value if np.isfinite(value) else None for name, value in found.items()}


def sample_scores(found: SplitOutputs, temperature: float | None = None) -> Scores:
    """Of classes accuracy, log loss, the log loss at `temperature` and the calibration error; of values mae, mse."""
    if found.meaning == "values":
        apart = np.abs(found.numbers - found.targets.double().numpy())
        return Scores({"mae": apart.mean(axis=1), "mse": (apart**2).mean(axis=1)}, {})
    targets, outputs = found.targets.numpy(), found.numbers
    right = outputs.argmax(axis=1) == targets
    samples = {"accuracy": right.astype(np.float64)}
    if found.meaning == "scores":
        return Scores(samples, {})
    samples["log_loss"] = true_losses(outputs, targets)
    if temperature is not None:
        samples[CALIBRATED] = true_losses(tempered(outputs, temperature), targets)
    gaps = Gaps(np.exp(outputs.max(axis=1)), right)
    return Scores(samples, {"calibration_error": float(np.abs(gaps.means).sum())})


@dataclass(frozen=True)
class Rivals:
    """What an ensemble is compared with.

    names   of the members
    scores  of each member
    best    position of the member that is best on the validation split
    equal   scores of the same members with equal weights, where the weights are others
    blocks  stretches of time that count as independent, of forecasts
    best_label  what `best` is called; "" for the best member
    """

    names: Sequence[str]
    scores: Sequence[Scores]
    best: int
    equal: Scores | None = None
    blocks: TimeBlocks | None = None
    best_label: str = ""


def gains(own: Scores, rivals: Rivals) -> dict[str, dict[str, Any]]:
    """Metric -> `over` with the gain over the best member, over the mean of the members, and over equal weights.

    `members` has the gain over each member, with intervals that hold together (Bonferroni).
    """
    found: dict[str, dict[str, Any]] = {}
    best, mean = f"the best member, {rivals.names[rivals.best]}", "the mean member"
    if rivals.best_label:
        best, mean = rivals.best_label, "the mean view"
    for name, values in own.samples.items():
        others = [one.samples[name] for one in rivals.scores if name in one.samples]
        if len(others) < len(rivals.scores):
            continue
        rows = np.stack(others)
        sides = {"best": (best, rows[rivals.best][None]), "mean": (mean, rows)}
        if rivals.equal is not None and name in rivals.equal.samples:
            sides["equal_weights"] = ("equal weights", rivals.equal.samples[name][None])
        each = [_gain(name, values, row[None], rivals.blocks, 1 - (1 - LEVEL) / len(rows)) for row in rows]
        over = {key: {"over": label, **_gain(name, values, side, rivals.blocks, LEVEL)}
                for key, (label, side) in sides.items()}  # fmt: skip
        found[name] = {"over": over, "members": each}
    return found


def _gain(name: str, own: Floats, other: Floats, blocks: TimeBlocks | None, level: float) -> dict[str, Any]:
    """The gain over one side (K, N), with its interval and whether it is beyond doubt."""
    measure = Measure(name, name in _MAXIMIZED)
    if not np.isfinite(own).all() or not np.isfinite(other).all():
        return {"value": None, "low": None, "high": None, "level": level, "better": None, "why": "infinite losses"}
    if blocks is not None and blocks.count < LEAST_BLOCKS:
        why = f"{blocks.count} independent stretches of time; {LEAST_BLOCKS} are required"
        value = (own.mean() - other.mean()) * (1 if measure.maximize else -1)
        return {"value": float(value), "low": None, "high": None, "level": level, "better": None, "why": why}
    found = _difference(name, own[None], other, blocks, level)
    sign = 1 if measure.maximize else -1
    low, high = sorted((sign * found.low, sign * found.high))
    better = sign * found.sign
    # 0 is added, so that none is -0.
    gained: dict[str, Any] = {"value": sign * found.value + 0.0, "low": low + 0.0, "high": high + 0.0, "level": level}
    gained["better"] = {1: True, -1: False, 0: None}[better]
    if name == "accuracy" and len(other) == 1:
        gained["mcnemar_p"] = mcnemar(own > 0, other[0] > 0).p_value
    return gained


def _difference(name: str, own: Floats, other: Floats, blocks: TimeBlocks | None, level: float) -> PairedDifference:
    if blocks is not None:
        return over_blocks(own, other, blocks, level)
    return over_samples([(own, other)], level, seed=_SEED, zero_or_one=name == "accuracy")[0]


def diversity(found: Sequence[SplitOutputs], weights: Sequence[float], experiment: Experiment) -> dict[str, Any]:
    """How much the members differ; see `dlexp.metrics.ensembles.diversity`."""
    first, targets = found[0], experiment.bundle.spec.targets
    if first.meaning == "values":
        std = targets.std if isinstance(targets, ValueSpec | ForecastSpec) else (1.0,)
        scale = np.resize(np.asarray(std, np.float64), first.outputs.shape[1])
        values = np.stack([one.numbers for one in found])
        return value_diversity(values, first.targets.double().numpy(), np.asarray(weights), scale)
    predicted = np.stack([one.outputs.argmax(dim=1).numpy() for one in found])
    return class_diversity(predicted, first.targets.numpy())


def blocks_of(found: SplitOutputs, experiment: Experiment) -> TimeBlocks | None:
    """The stretches of time of forecasts; None for samples that count as independent."""
    targets = experiment.bundle.spec.targets
    if not isinstance(targets, ForecastSpec):
        return None
    shape = (len(found), targets.horizon, len(targets.names))
    empty = np.zeros(shape)
    rows = ForecastRows(found.indices.numpy(), targets, empty, empty, {}, np.zeros((shape[0], shape[2])))
    return TimeBlocks(time_blocks(rows.origins, targets.horizon), rows.overlap)
