"""Style transfer: a picture with the content of one image and the style of another, by the features of a network.

Source: L. A. Gatys, A. S. Ecker and M. Bethge, "Image style transfer using convolutional neural networks", CVPR 2016.

Symbols: B samples in a batch, C channels, H and W height and width in pixels, L layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.losses.perceptual import content_distance, gram_matrix, style_distance, total_variation
from dlexp.metrics.bootstrap import Resampling
from dlexp.metrics.reports.report import Report
from dlexp.metrics.states import MetricState
from dlexp.models.generative.features import FeatureNetwork
from dlexp.specs import DataSpec
from dlexp.tasks.base import Networks, forward
from dlexp.tasks.generative.images import ImageTask, chosen_layers, shape_checked
from dlexp.types import Batch, LossOutput, Prediction, as_tensor

__all__ = ["StyleTransfer"]


@dataclass(frozen=True)
class _Wanted:
    """What a picture is compared with.

    images   content and style (1, C, H, W), of which the rest is made
    content  features of the content, of each of its layers
    grams    (1, C', C') of each layer of the style
    """

    images: tuple[Tensor, Tensor]
    content: Sequence[Tensor]
    grams: Sequence[Tensor]


class StyleTransfer(ImageTask):
    """One update changes the picture by one step of the optimizer; the network of the features stays as it is.

    The loss is content_weight times the distance of features from those of the content, style_weight times that of Gram
    matrices from those of the style, each 0 for the same and 1 for features that are 0, and smoothness times the mean
    difference of neighboring pixels.

    Args:
        spec: Of the data: the input is the content, the target the style.
        loss: Not used.
        features: Name of the network of the features.
        content_layers: Its layers by which contents are compared; None for the usual ones.
        style_layers: Its layers by which styles are compared; None for the usual ones.
        content_weight: Weight of the content.
        style_weight: Weight of the style.
        smoothness: Weight of the total variation.
        feature_network: The network itself.

    Raises ConfigError without a network of features, and where nothing is wanted.
    """

    metrics = {"loss": "min", "content": "min", "style": "min", "total_variation": "min"}
    values = ("style", "content", "total_variation")
    takes_new_images = False
    versions_named = "the content, the picture, and the style"

    def __init__(
        self,
        *,
        spec: DataSpec,
        loss: nn.Module,
        features: str = "random",
        content_layers: Sequence[str] | None = None,
        style_layers: Sequence[str] | None = None,
        content_weight: float = 1.0,
        style_weight: float = 10.0,
        smoothness: float = 0.2,
        feature_network: FeatureNetwork | None = None,
    ) -> None:
        del loss  # it compares features
        super().__init__(spec=spec, name="style_transfer")
        if feature_network is None:
            rule = "requires a network whose features are compared"
            raise ConfigError.one("task.features", features, rule, "Set task.features=random", code="invalid-value")
        if not content_weight and not style_weight:
            rule = "is the weight of all that is compared: task.style_weight is 0 too"
            raise ConfigError.one("task.content_weight", 0, rule, "Set task.style_weight=10", code="no-effect")
        self._features = feature_network
        self._content_layers = chosen_layers(
            feature_network, "task.content_layers", content_layers, feature_network.usual_content
        )
        self._style_layers = chosen_layers(
            feature_network, "task.style_layers", style_layers, feature_network.usual_style
        )
        self._weights = content_weight, style_weight, smoothness
        self._kept: _Wanted | None = None

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The mean over the samples, and its parts without their weights."""
        value, parts = self._losses(self._outputs(networks, batch), batch)
        return LossOutput(value.mean(), {name: each.detach().mean() for name, each in parts.items()})

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """The picture (B, C, H, W) in [0, 1], and the parts of its loss."""
        outputs = self._outputs(networks, batch)
        value, parts = self._losses(outputs, batch)
        targets = self.wanted(batch, outputs)
        return Prediction(outputs.clamp(0, 1), targets, value.mean(), batch.indices, parts)

    def versions(self, networks: Networks, batch: Batch) -> Mapping[str, Tensor]:
        """The content, the picture and the style."""
        outputs = self._outputs(networks, batch)
        return {
            "content": as_tensor(batch.inputs).clamp(0, 1),
            "picture": outputs.clamp(0, 1),
            "style": self.wanted(batch, outputs),
        }

    def report(self, spec: DataSpec, state: MetricState, resampling: Resampling | None = None) -> Report:
        """The same without intervals, since there is one picture."""
        return super().report(spec, state, None)

    @torch.no_grad()
    def baselines(self, training: Iterable[Batch], split: Iterable[Batch]) -> Mapping[str, Mapping[str, float]]:
        """The content as it is, which has nothing of the style, and the style as it is."""
        found = {}
        batches = list(split)
        for name in ("content", "style"):
            state = self.metric_state()
            for batch in batches:
                inputs = as_tensor(batch.inputs)
                images = inputs if name == "content" else self.wanted(batch, inputs)
                value, parts = self._losses(images, batch)
                state.update(Prediction(images, None, value.mean(), batch.indices, parts))
            found[f"the {name} as it is"] = state.compute()
        return found

    def _outputs(self, networks: Networks, batch: Batch) -> Tensor:
        outputs = forward(networks["model"], batch.inputs)
        shape = tuple(as_tensor(batch.inputs).shape[1:])
        if tuple(outputs.shape[1:]) != shape:
            rule = f"its output must have shape {(len(batch), *shape)}, got {tuple(outputs.shape)}"
            raise ValueError(f"{rule}. Use model=canvas")
        return shape_checked(outputs, shape)

    def _losses(self, images: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """(B,), and its parts (B,)."""
        wanted = self._wanted(batch)
        layers = tuple(dict.fromkeys((*self._content_layers, *self._style_layers)))
        found = dict(zip(layers, self._features(images, layers), strict=True))
        parts = {
            "content": content_distance([found[name] for name in self._content_layers], wanted.content),
            "style": style_distance([found[name] for name in self._style_layers], wanted.grams),
            "total_variation": total_variation(images),
        }
        each = [weight * part for weight, part in zip(self._weights, parts.values(), strict=True)]
        return each[0] + each[1] + each[2], parts

    def _wanted(self, batch: Batch) -> _Wanted:
        """Features of content and style, which are kept until another pair comes."""
        content = as_tensor(batch.inputs)
        style = self.wanted(batch, content)
        kept = self._kept
        if kept is None or not all(_is_all(many, one) for many, one in zip((content, style), kept.images, strict=True)):
            if any(not _is_all(many, many[:1]) for many in (content, style)):
                raise ValueError("style_transfer requires the same pair in each sample. Use data=style_pair")
            exact = torch.autocast(content.device.type, enabled=False)
            with torch.inference_mode(False), torch.no_grad(), exact:  # whatever calls first: the same numbers
                images = content[:1].clone(), style[:1].clone()
                features = self._features(images[0], self._content_layers)
                grams = [gram_matrix(one.float()) for one in self._features(images[1], self._style_layers)]
            self._kept = kept = _Wanted(images, features, grams)
        return kept


def _is_all(many: Tensor, one: Tensor) -> bool:
    """Whether each of (B, C, H, W) equals (1, C, H, W)."""
    return many.device == one.device and many.shape[1:] == one.shape[1:] and bool((many == one).all())
