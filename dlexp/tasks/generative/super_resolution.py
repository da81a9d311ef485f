"""Super-resolution: a network makes a larger image of a small one.

Sources: those of `dlexp.models.generative.super_resolution`, and J. Johnson et al. 2016, arXiv:1603.08155, for losses
of features.

Symbols: B samples in a batch, C channels, H and W height and width in pixels of the original, f the factor by which
inputs are smaller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.losses.adversarial import discriminator_losses, generator_losses
from dlexp.losses.perceptual import PerceptualLoss
from dlexp.metrics.generative.image_quality import psnr, ssim
from dlexp.models.generative.features import FeatureNetwork
from dlexp.models.generative.gan import image_discriminator
from dlexp.models.generative.super_resolution import bicubic
from dlexp.specs import DataSpec
from dlexp.tasks.base import Networks, Phase, forward
from dlexp.tasks.generative.adversarial import without_gradients
from dlexp.tasks.generative.images import ImageTask, chosen_layers, shape_checked
from dlexp.types import Batch, LossOutput, Prediction, as_tensor

__all__ = ["AdversarialSuperResolution", "SuperResolution"]

_PIXEL_LOSSES = ("l1", "l2")


class SuperResolution(ImageTask):
    """The mean error of the pixels in [0, 1], and that of features of another network where it is wanted.

    Args:
        spec: Of the data.
        loss: Not used.
        pixel_loss: l1, the mean absolute error; or l2, the mean squared error, which is best for PSNR and blurs more.
        perceptual_weight: Factor of the distance of features from those of the original, which is 1 for features 0.
        features: Name of the network of the features.
        content_layers: Its layers that are compared; None for one behind its middle.
        feature_network: The network itself.

    Raises ConfigError for a weight without features, and for features without a weight.
    """

    metrics = {"loss": "min", "psnr": "max", "ssim": "max", "mae": "min"}
    values = ("mae", "psnr", "ssim")
    versions_named = "as they enter, enlarged (bicubic), by the network, and the originals"

    def __init__(
        self,
        *,
        spec: DataSpec,
        loss: nn.Module,
        pixel_loss: str = "l1",
        perceptual_weight: float = 0.0,
        features: str = "none",
        content_layers: Sequence[str] | None = None,
        feature_network: FeatureNetwork | None = None,
    ) -> None:
        del loss  # it compares images
        super().__init__(spec=spec, name="super_resolution")
        if pixel_loss not in _PIXEL_LOSSES:
            raise ValueError(f"unknown pixel_loss={pixel_loss!r}; available: {', '.join(_PIXEL_LOSSES)}")
        _refuse_unused(perceptual_weight, features, content_layers)
        self._is_squared, self._weight = pixel_loss == "l2", perceptual_weight
        self.factor = self.targets.factor
        self._perceptual: PerceptualLoss | None = None
        if feature_network is not None:
            layers = chosen_layers(
                feature_network, "task.content_layers", content_layers, feature_network.usual_content
            )
            self._perceptual = PerceptualLoss(feature_network, layers)

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The mean over the samples; `pixel` and `perceptual` are its parts where there are two."""
        outputs = self._outputs(networks, batch)
        value, parts = self._losses(outputs, self.wanted(batch, outputs))
        return LossOutput(value.mean(), {name: each.detach().mean() for name, each in parts.items()})

    def predict(self, networks: Networks, batch: Batch) -> Prediction:
        """Images (B, C, H, W) in [0, 1], and how like the originals they are."""
        return self._compared(self._outputs(networks, batch), batch)

    def versions(self, networks: Networks, batch: Batch) -> Mapping[str, Tensor]:
        """The input with its pixels as squares, its bicubic enlargement, the output, and the original."""
        inputs, outputs = as_tensor(batch.inputs), self._outputs(networks, batch)
        return {
            "input": F.interpolate(inputs, scale_factor=self.factor, mode="nearest").clamp(0, 1),
            "bicubic": bicubic(inputs, self.factor).clamp(0, 1),
            "network": outputs.clamp(0, 1),
            "original": self.wanted(batch, outputs),
        }

    @torch.no_grad()
    def baselines(self, training: Iterable[Batch], split: Iterable[Batch]) -> Mapping[str, Mapping[str, float]]:
        """Bicubic enlargement, which needs no network."""
        state = self.metric_state()
        for batch in split:
            state.update(self._compared(bicubic(as_tensor(batch.inputs), self.factor), batch))
        return {"bicubic enlargement": state.compute()}

    def _outputs(self, networks: Networks, batch: Batch) -> Tensor:
        height, width = as_tensor(batch.inputs).shape[2:]
        shape = self.targets.channels, self.factor * height, self.factor * width
        return shape_checked(forward(networks["model"], batch.inputs), shape)

    def _compared(self, outputs: Tensor, batch: Batch) -> Prediction:
        targets = self.wanted(batch, outputs)
        value, _ = self._losses(outputs, targets)
        images = outputs.clamp(0, 1)
        apart = (images - targets).abs().flatten(1).mean(1)
        extra = {"mae": apart, "psnr": psnr(images, targets), "ssim": ssim(images, targets)}
        return Prediction(images, targets, value.mean(), batch.indices, extra)

    def _losses(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(B,), and its parts (B,) where there are two."""
        apart = outputs - targets
        pixel = (apart.square() if self._is_squared else apart.abs()).flatten(1).mean(1)
        if self._perceptual is None:
            return pixel, {}
        perceptual: Tensor = self._perceptual(outputs, targets)
        return pixel + self._weight * perceptual, {"pixel": pixel, "perceptual": perceptual}


class AdversarialSuperResolution(SuperResolution):
    """Super-resolution whose images a discriminator cannot tell from originals (SRGAN).

    Two phases: the discriminator learns on originals and on what the network makes, then the network on the errors of
    `SuperResolution` and on its score. What it adds looks sharper and is invented: PSNR and SSIM fall.

    Source: C. Ledig et al., "Photo-realistic single image super-resolution using a generative adversarial network",
    CVPR 2017, arXiv:1609.04802.

    Args:
        spec: Of the data.
        loss: Not used.
        pixel_loss: As of `SuperResolution`.
        perceptual_weight: The same.
        features: The same.
        content_layers: The same.
        objective: Of both: non_saturating, least_squares or hinge.
        adversarial_weight: Factor of what the discriminator says of the network's images.
        discriminator_channels: Of its convolutions; None for 16, 32, 64, 128.
        feature_network: As of `SuperResolution`.

    Raises ConfigError as `SuperResolution` does, and for objective=wasserstein, which requires a penalty.
    """

    def __init__(
        self,
        *,
        spec: DataSpec,
        loss: nn.Module,
        pixel_loss: str = "l1",
        perceptual_weight: float = 0.0,
        features: str = "none",
        content_layers: Sequence[str] | None = None,
        objective: str = "non_saturating",
        adversarial_weight: float = 0.001,
        discriminator_channels: Sequence[int] | None = None,
        feature_network: FeatureNetwork | None = None,
    ) -> None:
        super().__init__(
            spec=spec,
            loss=loss,
            pixel_loss=pixel_loss,
            perceptual_weight=perceptual_weight,
            features=features,
            content_layers=content_layers,
            feature_network=feature_network,
        )
        if objective == "wasserstein":
            rule, remedy = "requires a penalty, which this task does not have", "Set task.objective=hinge"
            raise ConfigError.one("task.objective", objective, rule, remedy, code="not-supported")
        self._objective, self._adversarial_weight = objective, adversarial_weight
        self._channels = tuple(discriminator_channels or (16, 32, 64, 128))
        self.phases = {"discriminator": Phase(("discriminator",)), "generator": Phase(("model",))}

    def own_networks(self) -> Networks:
        """The discriminator."""
        return {"discriminator": image_discriminator(input_shape=self.targets.shape, channels=self._channels)}

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """The loss of the discriminator, or of the network, whose part `adversarial` is without its weight."""
        discriminator = networks["discriminator"]
        if phase == "discriminator":
            with torch.no_grad():
                made = self._outputs(networks, batch)
            scores = (discriminator(2 * images - 1).float() for images in (self.wanted(batch, made), made))
            real, fake = discriminator_losses(self._objective, *scores)
            return LossOutput(real.mean() + fake.mean(), {"real": real.detach(), "fake": fake.detach()})
        outputs = self._outputs(networks, batch)
        value, parts = self._losses(outputs, self.wanted(batch, outputs))
        with without_gradients(discriminator):
            adversarial = generator_losses(self._objective, discriminator(2 * outputs - 1).float())
        parts = {"pixel": value, **parts, "adversarial": adversarial}
        named = {name: each.detach().mean() for name, each in parts.items()}
        return LossOutput((value + self._adversarial_weight * adversarial).mean(), named)


def _refuse_unused(weight: float, features: str, layers: Sequence[str] | None) -> None:
    """Raise ConfigError for a weight without features, and for features without a weight."""
    if weight and features == "none":
        rule, remedy = "requires a network whose features are compared", "Set task.features=random"
        raise ConfigError.one("task.perceptual_weight", weight, rule, remedy, code="missing-requirement")
    if not weight and features != "none":
        rule = "has no effect with task.perceptual_weight=0"
        raise ConfigError.one("task.features", features, rule, "Set task.perceptual_weight=0.01", code="no-effect")
    if layers is not None and features == "none":
        rule = "has no effect with task.features=none"
        raise ConfigError.one("task.content_layers", list(layers), rule, "Remove it.", code="no-effect")
