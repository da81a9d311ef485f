"""A network with its preprocessing and postprocessing, from raw input to the output of `dlexp predict`.

Symbols: B samples, F features of a table, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlexp.data.images.float_precision import Narrowing
from dlexp.data.preprocess import Affine
from dlexp.data.tables.features.encodings import encoded_columns
from dlexp.errors import ConfigError
from dlexp.tasks.base import Task
from dlexp.workflows.run_record.restore import RestoredRun


@dataclass(frozen=True)
class Features:
    """Fill value, mean and deviation of each feature (F,) float64; 0, 0 and 1 for categories, sines and cosines."""

    fill: Tensor
    mean: Tensor
    std: Tensor


def features(stored: RestoredRun) -> Features | None:
    """The statistics of the features of a run; None for data without named columns."""
    columns = encoded_columns(stored.preprocessing)
    if not columns:
        return None
    rows = [row for fit in columns for row in fit.statistics()]
    return Features(*torch.tensor(rows, dtype=torch.float64).unbind(dim=1))


class Standardize(nn.Module):
    """Standardizes features: (B, F) float64, NaN for missing numbers, 0 or 1 for categories -> (B, F) float32."""

    def __init__(self, features: Features) -> None:
        super().__init__()
        for name, values in vars(features).items():
            self.register_buffer(name, values.clone())

    def forward(self, x: Tensor) -> Tensor:
        """(B, F) -> (B, F)."""
        filled = torch.where(x.isnan(), self.get_buffer("fill"), x)
        return ((filled - self.get_buffer("mean")) / self.get_buffer("std")).float()


class Narrow(nn.Module):
    """`Narrowing` as a module: (B, C, H, W) float64 in their own units -> the same shape, float32."""

    def __init__(self, narrowing: Narrowing) -> None:
        super().__init__()
        for name, values in vars(narrowing).items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64)[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return ((x - self.get_buffer("offset")) / self.get_buffer("unit")).float()


class Normalize(nn.Module):
    """`Affine` as a module: (B, C, H, W) pixels, or numbers -> the same shape, float32."""

    def __init__(self, affine: Affine) -> None:
        super().__init__()
        self.register_buffer("scale", affine.scale.clone())
        self.register_buffer("shift", affine.shift.clone())

    def forward(self, x: Tensor) -> Tensor:
        """(B, *input_shape) -> the same shape."""
        return torch.addcmul(self.get_buffer("shift"), x.float(), self.get_buffer("scale"))


class InferencePipeline(nn.Module):
    """Preprocessing, network and decoding of the outputs by the task."""

    def __init__(self, ready: nn.Module, network: nn.Module, task: Task) -> None:
        super().__init__()
        self.ready, self.network = ready, network
        self._task = task

    def forward(self, x: Tensor) -> Tensor:
        """Raw input (B, *input_shape) -> outputs as in `Prediction.outputs`."""
        return self._task.decode(self.network(self.ready(x)).float())


def _last(stored: RestoredRun) -> list[nn.Module]:
    """The preprocessing as modules; none for inputs that come as they are."""
    return [Normalize(stored.preprocess)] if isinstance(stored.preprocess, Affine) else []


def inference_pipeline(stored: RestoredRun) -> InferencePipeline:
    """The network of a run with its preprocessing and the decoding of its outputs."""
    columns, last = features(stored), _last(stored)
    narrowing = Narrowing.of_plain(stored.preprocessing)
    before = [Standardize(columns)] if columns is not None else [Narrow(narrowing)] if narrowing is not None else []
    ready = nn.Sequential(*before, *last)
    return InferencePipeline(ready, stored.experiment.networks["model"], stored.experiment.task)


def check_pipeline(stored: RestoredRun, network: InferencePipeline, inputs: Tensor) -> None:
    """Raise ConfigError unless `network` is bit-identical to the prediction of the task for raw `inputs`."""
    experiment = stored.experiment
    prediction = experiment.task.predict(dict(experiment.networks.items()), stored.unlabeled(network.ready(inputs)))
    if not torch.equal(prediction.outputs, network(inputs)):
        rule = "does not support --with-preprocessing: its predictions use more than the network and `read`"
        raise ConfigError.one(
            "task", experiment.config.task.option, rule, "Remove --with-preprocessing.", code="not-supported"
        )
