"""What a network puts out for samples of a split, in evaluation mode.

Symbols: N samples, B samples of a batch, C classes, O outputs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn

from dlexp.diagnosis.case import OutputMeasure
from dlexp.engine.evaluate import seeded
from dlexp.networks.inspection.outputs import as_found, recording
from dlexp.runtime.precision import Precision
from dlexp.runtime.seed import kept_randomness
from dlexp.specs import ClassSpec, DataSpec, ValueSpec
from dlexp.tasks.base import Task
from dlexp.types import Batch, Prediction

_CLOSE_TO_ONE = 1e-3
_LEAST = 1e-12  # probability that a loss is computed of


def measure_outputs(
    task: Task, networks: nn.ModuleDict, batches: Iterable[Batch], precision: Precision, spec: DataSpec, seed: int
) -> OutputMeasure:
    """Measure the outputs for the samples of `batches`; networks and generators are left as they were.

    Args:
        task: Gives predictions and metrics.
        networks: In any mode.
        batches: Of a split.
        precision: Number format of the networks.
        spec: Of the data.
        seed: Of the run, for losses that draw noise.
    """
    state, taken, counted = task.metric_state(), _Taken(), _Classes.of(spec)
    losses: list[Tensor] = []
    layers = {name: network for name, network in networks.items() if name != "loss"}
    with (
        kept_randomness(),
        as_found(networks),
        torch.inference_mode(),
        recording(layers, lambda name, module, output: taken.add(output)),
    ):
        for batch in seeded(batches, seed):
            with precision.autocast():
                prediction = task.predict(dict(networks.items()), batch)
            state.update(prediction)
            taken.count += len(batch)
            if counted is not None:
                counted.add(prediction)
            losses.append(_sample_losses(prediction, spec))
    measured = taken.measure(state.compute(), counted)
    return replace(measured, sample_losses=torch.cat(losses).tolist() if losses else ())


def _sample_losses(prediction: Prediction, spec: DataSpec) -> Tensor:
    """(B,) as `OutputMeasure.sample_losses`, (0,) for other kinds of targets."""
    targets, outputs = prediction.targets, prediction.outputs.detach()
    if targets is None:
        return torch.zeros(0)
    if isinstance(spec.targets, ClassSpec) and targets.dim() == 1 and outputs.dim() == 2:
        own = targets.long()[:, None]
        if outputs.shape[1] != len(spec.targets.names):
            return torch.zeros(0)
        if prediction.logits is not None:
            return -prediction.logits.detach().double().log_softmax(dim=1).gather(1, own)[:, 0].cpu()
        positive = outputs.double().clamp_min(0)  # scores that are no probabilities count as right or wrong
        if bool(((positive.sum(dim=1) - 1).abs() < _CLOSE_TO_ONE).all()):
            return -positive.gather(1, own)[:, 0].clamp_min(_LEAST).log().cpu()
        return (outputs.argmax(dim=1) != targets).double().cpu()
    if isinstance(spec.targets, ValueSpec) and targets.shape == outputs.shape:
        std = torch.tensor(spec.targets.std, dtype=torch.float64)
        errors = (outputs.double() - targets.double()).cpu().flatten(1) / std
        return errors.square().mean(dim=1)
    return torch.zeros(0)


class _Taken:
    """Raw outputs, summed up."""

    def __init__(self) -> None:
        self.count = 0
        self._rows = self._ones = 0
        self._low, self._high = float("inf"), float("-inf")
        self._total = self._squares = torch.zeros((), dtype=torch.float64)

    def add(self, output: Tensor) -> None:
        """Add outputs (B, ..., O)."""
        if not output.is_floating_point() or not output.numel():
            return
        rows = output.double().flatten(0, -2) if output.dim() > 1 else output.double()[:, None]
        rows = rows.cpu()
        self._low, self._high = min(self._low, float(rows.min())), max(self._high, float(rows.max()))
        total = rows.sum(dim=1)
        is_share = (rows >= 0).all(dim=1) & (rows <= 1 + _CLOSE_TO_ONE).all(dim=1) & (rows.shape[1] > 1)
        self._ones += int((is_share & ((total - 1).abs() < _CLOSE_TO_ONE)).sum())
        if self._total.shape not in ((), (rows.shape[1],)):  # several networks, of other widths
            return
        self._rows += len(rows)
        self._total, self._squares = self._total + rows.sum(dim=0), self._squares + rows.square().sum(dim=0)

    def measure(self, metrics: dict[str, float], classes: _Classes | None) -> OutputMeasure:
        """Everything that was added."""
        rows = max(1, self._rows)
        spread = (self._squares / rows - (self._total / rows).square()).clamp_min(0).sqrt().mean()
        own = () if classes is None else classes.shares()
        return OutputMeasure(self.count, metrics, self._low, self._high, self._ones / rows, float(spread), *own)


class _Classes:
    """Classes and predicted classes, counted."""

    def __init__(self, count: int) -> None:
        self._pairs = torch.zeros(count, count, dtype=torch.int64)

    @classmethod
    def of(cls, spec: DataSpec) -> _Classes | None:
        """None for targets that are no classes of whole samples."""
        return cls(len(spec.targets.names)) if isinstance(spec.targets, ClassSpec) else None

    def add(self, prediction: Prediction) -> None:
        """Add the predictions of a batch; outputs of another width, such as embeddings, are no classes."""
        targets, outputs, count = prediction.targets, prediction.outputs, len(self._pairs)
        if targets is None or targets.dim() != 1 or outputs.dim() != 2 or outputs.shape[1] != count:
            return
        places = targets.cpu().long() * count + outputs.argmax(dim=1).cpu()
        self._pairs += torch.bincount(places, minlength=count * count).view(count, count)

    def shares(self) -> tuple[list[float], list[float], list[float]]:
        """Shares of the classes, of the predicted ones, and recalls; empty if nothing was counted."""
        total = int(self._pairs.sum())
        if not total:
            return [], [], []
        pairs = self._pairs.double()
        given = pairs.sum(dim=1)
        return (given / total).tolist(), (pairs.sum(dim=0) / total).tolist(), (pairs.diagonal() / given).tolist()
