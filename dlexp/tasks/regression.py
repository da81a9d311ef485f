"""One or more numbers for each sample.

Symbols: B batch, O outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dlexp.metrics.states import RegressionState
from dlexp.tasks.base import Networks, Task
from dlexp.types import Batch, DataSpec, LossOutput, Prediction

__all__ = ["Regression"]


class Regression(Task):
    """The model puts out (B, O) standardised values; the loss is theirs, the prediction is in the target's own units.

    So a learning rate that suits one target suits another that is counted in thousands.
    """

    metrics = {"loss": "min", "mae": "min", "rmse": "min", "r2": "max"}

    def __init__(self, *, spec: DataSpec, loss: nn.Module) -> None:
        """Raises ValueError when the data holds no values."""
        if spec.targets != "value":
            raise ValueError("regression needs numbers, and this data holds classes; choose task=classification")
        self._criterion, self._num_outputs = loss, spec.num_outputs
        self._mean, self._std = torch.tensor(spec.target_mean), torch.tensor(spec.target_std)

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The criterion on standardised values."""
        return LossOutput(self._criterion(networks["model"](batch.inputs), self._standardized(batch.targets)))

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """Values (B, O) in the target's own units."""
        outputs = networks["model"](batch.inputs).float()
        if outputs.shape != (len(batch), self._num_outputs):  # (B,) against (B, 1) would broadcast to (B, B)
            raise ValueError(f"its output has shape {tuple(outputs.shape)}, not {(len(batch), self._num_outputs)}")
        loss = self._criterion(outputs, self._standardized(batch.targets))
        device = outputs.device
        return Prediction(outputs * self._std.to(device) + self._mean.to(device), batch.targets, loss, batch.rows)

    def metric_state(self) -> RegressionState:
        """Loss, MAE, RMSE and R2."""
        return RegressionState(self._num_outputs)

    def _standardized(self, targets: Tensor) -> Tensor:
        return (targets - self._mean.to(targets.device)) / self._std.to(targets.device)
