"""The base of tasks that put out images, which are compared with others beside them.

Symbols: B samples in a batch, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from torch import Tensor

from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.generative.sample_means import SampleMeans
from dlexp.metrics.generative.sample_values import SampleValues
from dlexp.metrics.reports.figures import ImagePairs, ImageVersions
from dlexp.metrics.reports.generative import sample_report
from dlexp.metrics.reports.prediction_columns import PredictionColumns
from dlexp.metrics.reports.report import Report
from dlexp.metrics.states import MetricState, StateGroup
from dlexp.models.generative.features import FeatureNetwork
from dlexp.specs import DataSpec, ImageSpec, ImageTargetSpec
from dlexp.tasks.base import Networks, Task, other_targets
from dlexp.types import Batch, Prediction, as_tensor, tensor_to_device

_CAPTION = "Samples of the {split} split, "


class ImageTask(Task):
    """A task whose targets are images and whose outputs are too, in [0, 1].

    values  keys of `Prediction.extra` that every sample has, larger for worse ones in the first; `metrics` has their
            means, and an evaluation a table of them
    """

    values: ClassVar[tuple[str, ...]] = ()
    takes_new_images: ClassVar[bool] = True  # whether a trained network makes something of an image that it never saw
    versions_named: ClassVar[str] = ""  # what `versions` are, in a caption

    def __init__(self, *, spec: DataSpec, name: str) -> None:
        """Raises ValueError where inputs or targets are no images."""
        if not isinstance(spec.targets, ImageTargetSpec):
            raise other_targets(name, "images as targets", spec)
        if not isinstance(spec.inputs, ImageSpec):
            raise ValueError(f"{name} requires images, got {spec.inputs.kind}. Use data=photos")
        self.targets = spec.targets

    @abstractmethod
    def versions(self, networks: Networks, batch: Batch) -> Mapping[str, Tensor]:
        """Name -> images (B, C, H, W) in [0, 1], what enters, what is put out and what else is shown beside them."""

    def wanted(self, batch: Batch, like: Tensor) -> Tensor:
        """The targets of a batch (B, C, H, W) float32 in [0, 1], where `like` is."""
        return tensor_to_device(as_tensor(batch.targets), like.device).float() / self.targets.white

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        """The mean loss, and the means of `Prediction.extra` under its names."""
        return SampleMeans(tuple(name for name in (*self.metrics, *names) if name != "loss"))

    def report_state(self) -> MetricState:
        """The metrics, and the `values` of every sample."""
        return StateGroup(self.metric_state(), SampleValues(self.values))

    def report(self, spec: DataSpec, state: MetricState, resampling: Resampling | None = None) -> Report:
        """Intervals of the means, a table of all samples, the worst ones, and images of the best and the worst."""
        found = sample_report(spec, state.part(SampleValues), state.compute(), resampling, has_reconstructions=True)
        figures = dict(found.figures)
        chosen = figures.pop("reconstructions")
        assert isinstance(chosen, ImagePairs)
        caption = f"{_CAPTION}{self.versions_named}: the best, those in the middle, and the worst."
        places = dict(zip(chosen.positions, chosen.captions, strict=True))  # of few samples each once
        figures["images"] = ImageVersions(caption, tuple(places), tuple(places.values()))
        return replace(found, figures=figures)

    def prediction_columns(self, spec: DataSpec, prediction: Prediction) -> PredictionColumns:
        """None: what is put out are images, and what compares them needs originals."""
        return PredictionColumns({})


def shape_checked(outputs: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Outputs (B, *shape) in float32. Raises ValueError for another shape, which might broadcast."""
    if tuple(outputs.shape[1:]) != shape:
        rule = f"its output must have shape {(len(outputs), *shape)}, got {tuple(outputs.shape)}"
        raise ValueError(f"{rule}. Use model=espcn, srcnn or edsr")
    return outputs.float()


def chosen_layers(
    features: FeatureNetwork, key: str, given: Sequence[str] | None, usual: Sequence[str]
) -> tuple[str, ...]:
    """The layers that the key names, or the usual ones. Raises ConfigError for names that are no layers."""
    if given is None:
        return tuple(usual)
    features.check(key, given)
    return tuple(given)
