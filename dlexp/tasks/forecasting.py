"""The next steps of a series.

Symbols: B batch, L steps of a window, C channels, H steps of a horizon, V targets, O = H x V, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.losses.output_decoding import Quantiles, value_decoder
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.forecast_errors import NO_SCALE, Scaling
from dlexp.metrics.forecasts import ForecastState
from dlexp.metrics.regression import ValueSampleState
from dlexp.metrics.reports.forecasts import ForecastRows, forecast_report
from dlexp.metrics.reports.prediction_columns import PredictionColumns
from dlexp.metrics.reports.report import Report
from dlexp.metrics.states import MetricState, StateGroup
from dlexp.sequence_specs import ForecastSpec
from dlexp.specs import DataSpec
from dlexp.tasks.base import Networks, Task, forward, other_targets
from dlexp.types import Batch, LossOutput, Prediction, TimesOf, as_tensor, tensor_to_device

__all__ = ["Forecasting"]

RELATIVE_TO = ("none", "last", "window")


class FromLast(nn.Module):
    """A network that sees the targets of a window from its last value, and whose outputs are changes from it.

    So a level that training never saw is no extrapolation. With `divide`, it sees them in deviations of the window too.

    Args:
        inner: The network.
        num_targets: V, the first channels.
        divide: Whether to divide by the standard deviation of the window.
    """

    def __init__(self, inner: nn.Module, num_targets: int, divide: bool) -> None:
        super().__init__()
        self.inner, self.num_targets, self.divide = inner, num_targets, divide

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """(B, L, C), (B,) -> (B, Q x O)."""
        targets = values[:, :, : self.num_targets]
        at = (lengths - 1).clamp(min=0).to(values.device)[:, None, None].expand(-1, 1, self.num_targets)
        last = targets.gather(1, at)
        is_step = torch.arange(values.shape[1], device=values.device) < lengths.to(values.device)[:, None]
        seen = (targets - last) * is_step[:, :, None]
        spread = torch.ones_like(last)
        if self.divide:
            count = lengths.to(values.device).clamp(min=1)[:, None, None].to(values.dtype)
            mean = seen.sum(dim=1, keepdim=True) / count
            squares = ((seen - mean) * is_step[:, :, None]).square().sum(dim=1, keepdim=True) / count
            spread = squares.sqrt().clamp(min=1e-3)
        found: Tensor = self.inner(torch.cat([seen / spread, values[:, :, self.num_targets :]], dim=2), lengths)
        steps = found.reshape(-1, found.shape[1] // self.num_targets, self.num_targets)
        return (steps * spread + last).flatten(1)


class Forecasting(Task):
    """The model returns the standardized values of all steps of the horizon at once: (B, O), or (B, Q x O) quantiles.

    relative_to  none: the model sees the scaled series; last: it sees and returns changes from the window's last value;
               window: these in deviations of the window
    """

    metrics = {"loss": "min", "mae": "min", "rmse": "min", "mase": "min", "smape": "min"}
    extra_metrics = {"pinball": "min"}

    def __init__(self, *, spec: DataSpec, loss: nn.Module, relative_to: str = "last") -> None:
        """Raises ValueError when the data hold no series to continue."""
        targets = spec.targets
        if not isinstance(targets, ForecastSpec):
            raise other_targets("forecasting", "series to continue", spec)
        if relative_to not in RELATIVE_TO:
            raise ValueError(f"relative_to={relative_to!r} must be one of {', '.join(RELATIVE_TO)}")
        self._criterion, self._decoder, self._relative_to = loss, value_decoder(loss), relative_to
        self._targets = targets
        self._width = self._decoder.num_outputs(targets.num_outputs)
        unit = (torch.tensor(part * targets.horizon, dtype=torch.float64) for part in (targets.mean, targets.std))
        self._units = {torch.device("cpu"): tuple(unit)}
        self._scaling = Scaling(targets.firsts, targets.naive_error or ((0.0,) * len(targets.names),))

    def num_outputs(self, spec: DataSpec) -> int:
        """O, or Q x O."""
        return self._width

    def around(self, network: nn.Module) -> nn.Module:
        """The network on changes from the last value, unless `relative_to` is none."""
        if self._relative_to == "none":
            return network
        return FromLast(network, len(self._targets.names), self._relative_to == "window")

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The criterion on standardized targets: a mean over windows, steps, targets and quantiles."""
        outputs = forward(networks["model"], batch.inputs)
        return LossOutput(self._criterion(outputs, self._scaled(as_tensor(batch.targets), outputs)))

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """Values (B, O) float64 in the units of the targets, and each quantile of them."""
        outputs, targets = forward(networks["model"], batch.inputs).float(), as_tensor(batch.targets)
        if outputs.shape != (len(batch), self._width):
            raise ValueError(f"its output must have shape {(len(batch), self._width)}, got {tuple(outputs.shape)}")
        loss = self._criterion(outputs, self._scaled(targets, outputs))
        extra = self._decoder.extra(outputs, *self._unit(outputs.device))
        return Prediction(self.decode(outputs), targets.flatten(1), loss, batch.indices, extra)

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        """Loss, MAE, RMSE, MASE and sMAPE, and the pinball loss where it is named.

        Raises ConfigError for the pinball loss without quantiles.
        """
        for name in names:
            if refused := self.refusal(name):
                raise ConfigError.one("trainer.monitor", f"val/{name}", *refused, code="cannot-combine")
        return ForecastState(self._shape, self._scaling, names)

    def refusal(self, name: str) -> tuple[str, str] | None:
        """The pinball loss is of quantiles."""
        if name == "pinball" and not isinstance(self._decoder, Quantiles):
            return "requires quantiles, and this loss has none", "Use mae, or set loss=quantile."
        return None

    def undefined(self, name: str, targets: Tensor) -> str:
        """MASE needs a series that changes."""
        return NO_SCALE if name == "mase" and not self._scaling.is_defined else ""

    def report_state(self) -> MetricState:
        """The usual metrics, and every window."""
        return StateGroup(self.metric_state(), ValueSampleState())

    def report(self, spec: DataSpec, state: MetricState, resampling: Resampling | None = None) -> Report:
        """Metrics with intervals over stretches of time, errors of each step, and the forecasts as a picture."""
        return self.report_beside(spec, state, resampling, {})

    def report_beside(
        self,
        spec: DataSpec,
        state: MetricState,
        resampling: Resampling | None,
        references: Mapping[str, NDArray[np.float64]],
        times: TimesOf | None = None,
    ) -> Report:
        """The same beside forecasts that need no network, with the verdict whether the model is better."""
        assert isinstance(spec.targets, ForecastSpec)
        found = state.part(ValueSampleState)
        samples = found.samples()
        shape = (len(samples), *self._shape)
        extra = {name: values.reshape(shape) for name, values in found.extra().items()}
        rows = ForecastRows(
            found.indices(),
            spec.targets,
            samples.predicted.reshape(shape),
            samples.true.reshape(shape),
            extra,
            self._scaling.of(found.indices()),
            None if times is None else times(found.indices()),
        )
        return forecast_report(rows, references, resampling)

    def decode(self, outputs: Tensor) -> Tensor:
        """(B, Q x O) -> (B, O) float64 values in the units of the targets."""
        return self._decoder.decode(outputs, *self._unit(outputs.device))

    def prediction_columns(self, spec: DataSpec, prediction: Prediction) -> PredictionColumns:
        """H rows for each window: each target, and each quantile of it."""
        horizon, count = self._shape
        values = {"predicted": prediction.outputs, **prediction.extra}
        columns = {}
        for what, numbers in values.items():
            steps = numbers.cpu().double().reshape(-1, horizon, count)
            for place, name in enumerate(self._targets.names):
                columns[f"{what} {name}"] = steps[:, :, place].flatten().tolist()
        return PredictionColumns(columns, rows_each=horizon)

    @property
    def _shape(self) -> tuple[int, int]:
        return self._targets.horizon, len(self._targets.names)

    def _scaled(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """(B, H, V) -> (B, O) where `outputs` are, float32 unless these are float64."""
        kind = torch.promote_types(outputs.dtype, torch.float32)
        flat = targets.flatten(1)
        return self._decoder.scaled(flat, *self._unit(flat.device)).to(outputs.device, kind)

    def _unit(self, device: torch.device) -> tuple[Tensor, ...]:
        """Mean and deviation of each output, (O,) float64, copied to a device once."""
        if device not in self._units:
            with torch.inference_mode(False):
                self._units[device] = tuple(tensor_to_device(part, device) for part in self._units[torch.device("cpu")])
        return self._units[device]
