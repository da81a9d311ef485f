"""One or more numbers for each sample.

Symbols: B batch, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlexp.losses.output_decoding import value_decoder
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.regression import ValueSampleState
from dlexp.metrics.reports.report import Report
from dlexp.metrics.reports.values import value_report
from dlexp.metrics.states import MetricState, RegressionState, StateGroup
from dlexp.metrics.undefined import undefined_of_values
from dlexp.specs import DataSpec, ValueSpec
from dlexp.tasks.base import Networks, Task, forward, other_targets
from dlexp.types import Batch, LossOutput, Prediction, as_tensor, tensor_to_device

__all__ = ["Regression"]


class Regression(Task):
    """The model returns (B, O) standardized values; the loss is theirs, the prediction is in the target's own units.

    So a learning rate that suits one target suits another that is counted in thousands. A loss may have another number
    of outputs and another scale (`loss=quantile`, `loss=poisson`).
    """

    metrics = {"loss": "min", "mae": "min", "rmse": "min", "r2": "max"}
    extra_metrics = {
        **dict.fromkeys(("mse", "median_absolute_error", "max_error", "mape"), "min"),
        "explained_variance": "max",
    }

    mixes = True

    def __init__(self, *, spec: DataSpec, loss: nn.Module) -> None:
        """Raises ValueError when the data holds no values."""
        if not isinstance(spec.targets, ValueSpec):
            raise other_targets("regression", "numbers", spec)
        self._criterion, self._num_targets, self._decoder = loss, spec.num_outputs, value_decoder(loss)
        self._width = self._decoder.num_outputs(spec.num_outputs)
        unit = (torch.tensor(numbers, dtype=torch.float64) for numbers in (spec.targets.mean, spec.targets.std))
        self._units = {torch.device("cpu"): tuple(unit)}
        self._targets = spec.targets

    def num_outputs(self, spec: DataSpec) -> int:
        """O, or another number that the loss takes."""
        return self._decoder.num_outputs(spec.num_outputs)

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The criterion on scaled targets, see `loss_of`."""
        return self.loss_of(forward(networks["model"], batch.inputs), batch)

    def loss_of(self, outputs: Tensor, batch: Batch) -> LossOutput:
        """The criterion on outputs (B, num_outputs) and scaled targets.

        Targets of a mixed sample lie between the two, by their shares.
        """
        mixed, targets = batch.mixed, as_tensor(batch.targets)
        if mixed is not None:
            targets = torch.lerp(mixed.targets, targets, mixed.share)
        return LossOutput(self._criterion(outputs, self.scaled(targets, outputs)))

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """Values (B, O) float64 in the target's own units."""
        outputs, targets = forward(networks["model"], batch.inputs).float(), as_tensor(batch.targets)
        if outputs.shape != (len(batch), self._width):  # (B,) against (B, 1) would broadcast to (B, B)
            raise ValueError(f"its output must have shape {(len(batch), self._width)}, got {tuple(outputs.shape)}")
        loss = self._criterion(outputs, self.scaled(targets, outputs))
        extra = self._decoder.extra(outputs, *self._unit(outputs.device))
        return Prediction(self.decode(outputs), targets, loss, batch.indices, extra)

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        """Loss, MAE, RMSE and R2, and the extra metrics `names`, means over the targets."""
        usual = RegressionState(self._num_targets, self._targets.mean, self._targets.std)
        return StateGroup(usual, ValueSampleState(names)) if names else usual

    def sample_state(self, keeps_outputs: bool = False) -> MetricState:
        """The predicted and true values of every sample."""
        return ValueSampleState()

    def report_state(self) -> MetricState:
        """The usual metrics, and every sample."""
        return StateGroup(self.metric_state(), ValueSampleState())

    def report(self, spec: DataSpec, state: MetricState, resampling: Resampling | None = None) -> Report:
        """Means over the targets, each target, and every sample's values."""
        found = state.part(ValueSampleState)
        return value_report(
            spec.output_names, found.indices(), found.samples(), found.extra(), self._targets.std, resampling
        )

    def decode(self, outputs: Tensor) -> Tensor:
        """(B, num_outputs) -> (B, O) float64 values in the target's own units."""
        return self._decoder.decode(outputs, *self._unit(outputs.device))

    def undefined(self, name: str, targets: Tensor) -> str:
        """Explained shares of a spread need one, and a percentage a target that is not 0."""
        return undefined_of_values(name, targets)

    def scaled(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Targets (B, O) in their own units -> those that the loss compares `outputs` with, on their device.

        They are float32 unless the outputs are float64; only here are targets narrowed.
        """
        kind = torch.promote_types(outputs.dtype, torch.float32)
        return self._decoder.scaled(targets, *self._unit(targets.device)).to(outputs.device, kind)

    def _unit(self, device: torch.device) -> tuple[Tensor, ...]:
        """Mean and deviation of each target, (O,) float64, copied to a device once."""
        if device not in self._units:
            with torch.inference_mode(False):
                self._units[device] = tuple(tensor_to_device(part, device) for part in self._units[torch.device("cpu")])
        return self._units[device]
