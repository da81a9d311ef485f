"""Generators and discriminators: two networks that are trained against each other, of dense layers or of convolutions.

Sources: I. Goodfellow et al., "Generative adversarial nets", NeurIPS 2014, arXiv:1406.2661; A. Radford et al.,
"Unsupervised representation learning with deep convolutional generative adversarial networks", ICLR 2016,
arXiv:1511.06434; classes by projection: T. Miyato and M. Koyama, "cGANs with projection discriminator", ICLR 2018,
arXiv:1802.05637.

Symbols: B batch, Z latent numbers, C classes, F features, H and W height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as spectrally_normed

from dlexp.models.layers import activation as activation_of
from dlexp.models.layers import norm_1d, norm_2d

__all__ = ["Discriminator", "Generator", "gan", "image_discriminator"]

_IMAGE = 256  # numbers of a sample from which on the published sizes are the default
_CONVOLVED = 16  # pixels of a side from which on `auto` means convolutions
_KERNEL = 3
_ALONE = ("none", 0.0, "leaky_relu_0.2")  # norm, dropout and activation of a discriminator without a generator
_SMALLEST = (
    2  # pixels of a side: smaller maps tell nothing more, and in bf16 their weights' gradients are sometimes NaN
)


class Generator(nn.Module):
    """Noise, and classes where it is conditional, to inputs.

    Args:
        body: (B, Z + C) -> (B, *input_shape).
        latent: Z.
        num_classes: C, 0 for a generator without classes.
    """

    def __init__(self, body: nn.Module, latent: int, num_classes: int) -> None:
        super().__init__()
        self.body, self.latent, self.num_classes = body, latent, num_classes

    def forward(self, noise: Tensor, classes: Tensor | None = None) -> Tensor:
        """(B, Z), weights of the classes (B, C) -> (B, *input_shape). Raises ValueError without classes it needs."""
        if not self.num_classes:
            return cast(Tensor, self.body(noise))
        if classes is None:
            raise ValueError("a conditional generator requires classes")
        return cast(Tensor, self.body(torch.cat([noise, classes.to(noise.dtype)], dim=1)))


class Discriminator(nn.Module):
    """A score of each sample: the larger, the more it looks like data.

    Without classes it scores the sample alone, also where it is conditional by projection.

    Args:
        body: (B, *input_shape), or with more columns or another plane for the classes -> (B, F).
        num_features: F.
        projection: (B, C) -> (B, F), None for no projection.
        plane: (B, C) -> what is put beside the sample, None for nothing.
        slope: Factor of the score.
    """

    def __init__(
        self,
        body: nn.Module,
        num_features: int,
        projection: nn.Module | None = None,
        plane: nn.Module | None = None,
        slope: float = 1.0,
    ) -> None:
        super().__init__()
        self.body, self.score = body, nn.Linear(num_features, 1)
        self.projection, self.plane, self.slope = projection, plane, slope

    def forward(self, inputs: Tensor, classes: Tensor | None = None) -> Tensor:
        """(B, *input_shape), weights of the classes (B, C) -> (B,)."""
        if self.plane is not None:
            if classes is None:
                raise ValueError("a discriminator that reads classes beside the sample requires them")
            inputs = torch.cat([inputs, self.plane(classes.to(inputs.dtype))], dim=1)
        features = self.body(inputs)
        scores: Tensor = self.score(features).squeeze(1)
        if self.projection is not None and classes is not None:
            scores = scores + (features * self.projection(classes.to(features.dtype))).sum(1)
        return scores if self.slope == 1 else self.slope * scores


class BlockSoftmax(nn.Module):
    """Softmax within each categorical column of a table; numbers are left as they are.

    Args:
        blocks: (first feature, number of categories) of each categorical column, in order.
        num_features: F.
    """

    def __init__(self, blocks: Sequence[tuple[int, int]], num_features: int) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.are_categories: list[bool] = []
        end = 0
        for first, count in blocks:
            self._add(first - end, is_category=False)
            self._add(count, is_category=True)
            end = first + count
        self._add(num_features - end, is_category=False)

    def _add(self, size: int, is_category: bool) -> None:
        if size:
            self.sizes.append(size)
            self.are_categories.append(is_category)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, F) -> (B, F)."""
        parts = zip(inputs.split(self.sizes, dim=1), self.are_categories, strict=True)
        return torch.cat([part.softmax(1) if is_category else part for part, is_category in parts], dim=1)


@dataclass(frozen=True)
class _Shape:
    """Input shape, C (0 for no classes) and the categorical columns of a table."""

    inputs: tuple[int, ...]
    num_classes: int
    blocks: tuple[tuple[int, int], ...]

    def output(self) -> nn.Module:
        """The last layer of a generator: images are in [-1, 1], numbers anywhere, categories shares."""
        if len(self.inputs) == 3:
            return nn.Tanh()
        return BlockSoftmax(self.blocks, self.inputs[0]) if self.blocks else nn.Identity()


def gan(
    *,
    input_shape: tuple[int, ...],
    num_classes: int = 0,
    categorical: tuple[tuple[int, int], ...] = (),
    layer_kind: str = "auto",
    latent: int = 100,
    generator_hidden: Sequence[int] | None = None,
    discriminator_hidden: Sequence[int] | None = None,
    generator_channels: Sequence[int] | None = None,
    discriminator_channels: Sequence[int] | None = None,
    norm: str = "batch",
    discriminator_norm: str = "none",
    spectral_norm: float | None = None,
    dropout: float = 0.0,
    activation: str = "leaky_relu_0.2",
    conditional: bool = False,
    condition: str = "projection",
) -> dict[str, nn.Module]:
    """A generator and a discriminator for samples of `input_shape`.

    Args:
        input_shape: Shape of a sample: (F,) or (channels, H, W).
        num_classes: C of the data, 0 without classes.
        categorical: (first feature, number of categories) of each categorical column of a table.
        layer_kind: dense, convolutional, or auto: convolutions for images of 16 pixels and more.
        latent: Z.
        generator_hidden: Units of dense hidden layers; None: by the size of a sample.
        discriminator_hidden: The same of the discriminator.
        generator_channels: Channels of convolutions, each but the first behind a doubling of the size; None: published.
        discriminator_channels: Channels of convolutions, of stride 2 down to maps of 2 pixels; None: published.
        norm: Normalization of the generator.
        discriminator_norm: Normalization of the discriminator, not in its first layer.
        spectral_norm: Largest slope of the discriminator: each of its weights is divided by its largest singular value,
            and the score multiplied by this number (Miyato et al. 2018, arXiv:1802.05957); None for no bound.
        dropout: Probability in the discriminator, of units or of whole feature maps.
        activation: Name of the activation of both.
        conditional: Whether both are given the class.
        condition: How the discriminator is given it: projection or concatenation.

    Raises ValueError for sizes of the other kind of layers, convolutions of tables, and data without classes.
    """
    _refuse_condition(conditional, num_classes)
    shape = _Shape(tuple(input_shape), num_classes if conditional else 0, tuple(categorical))
    is_convolved = _is_convolved(layer_kind, shape.inputs)
    unused = (generator_hidden, discriminator_hidden) if is_convolved else (generator_channels, discriminator_channels)
    _refuse_sizes(is_convolved, unused)
    if is_convolved:
        sizes, parts = generator_channels or (128, 128, 64), discriminator_channels or (16, 32, 64, 128)
        made = _convolved_generator(shape, latent, sizes, norm, activation)
        body, features = _convolved_body(shape, parts, (discriminator_norm, dropout, activation), condition)
    else:
        usual = _usual_sizes(shape)
        sizes, parts = generator_hidden or usual[0], discriminator_hidden or usual[1]
        made = _dense_generator(shape, latent, sizes, norm, activation)
        body, features = _dense_body(shape, parts, (discriminator_norm, dropout, activation), condition)
    projection, plane = _conditions(shape, condition, features)
    discriminator = Discriminator(body, features, projection, plane, spectral_norm or 1.0)
    _normed(discriminator, spectral_norm is not None)
    return {"generator": Generator(made, latent, shape.num_classes), "discriminator": discriminator}


def image_discriminator(*, input_shape: tuple[int, ...], channels: Sequence[int] = (16, 32, 64, 128)) -> Discriminator:
    """A discriminator alone, without classes: (B, *input_shape) -> (B,).

    Args:
        input_shape: (channels, H, W).
        channels: Of the convolutions, of stride 2 down to maps of 2 pixels.
    """
    body, features = _convolved_body(_Shape(tuple(input_shape), 0, ()), channels, _ALONE, "projection")
    return Discriminator(body, features)


def _refuse_condition(conditional: bool, num_classes: int) -> None:
    """Raise ValueError for conditional networks of data without classes."""
    if conditional and not num_classes:
        raise ValueError("conditional=true requires data with classes. Set model.conditional=false")


def _refuse_sizes(is_convolved: bool, unused: Sequence[Sequence[int] | None]) -> None:
    """Raise ValueError where sizes of the other kind of layers are given."""
    if any(given is not None for given in unused):
        kind, other = ("convolutions", "channels") if is_convolved else ("dense layers", "hidden")
        raise ValueError(f"this GAN has {kind}. Set model.generator_{other} and model.discriminator_{other} alone")


def _usual_sizes(shape: _Shape) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Units of the hidden layers of a dense generator and of a dense discriminator."""
    if prod(shape.inputs) >= _IMAGE:
        return (128, 256, 512, 1024), (512, 256, 128)
    return (128, 128), (128, 128)


def _normed(discriminator: nn.Module, is_wanted: bool) -> None:
    """Divide the weights of every layer by their largest singular value, where that is wanted."""
    for module in list(discriminator.modules()) if is_wanted else ():
        if isinstance(module, nn.Linear | nn.Conv2d):
            spectrally_normed(module)


def _is_convolved(layer_kind: str, shape: tuple[int, ...]) -> bool:
    """Whether images are made by convolutions. Raises ValueError for convolutions of tables."""
    is_image = len(shape) == 3
    if layer_kind == "convolutional" and not is_image:
        raise ValueError("convolutions require images. Set model.layer_kind=dense, or use model=gan")
    return layer_kind == "convolutional" or (layer_kind == "auto" and is_image and min(shape[1:]) >= _CONVOLVED)


def _dense_generator(shape: _Shape, latent: int, hidden: Sequence[int], norm: str, activation: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    widths = (latent + shape.num_classes, *hidden)
    for number, (fan_in, fan_out) in enumerate(pairwise(widths)):
        layers += [nn.Linear(fan_in, fan_out), *(norm_1d(norm, fan_out) if number else ()), activation_of(activation)]
    layers.append(nn.Linear(widths[-1], prod(shape.inputs)))
    if len(shape.inputs) == 3:
        layers.append(nn.Unflatten(1, shape.inputs))
    return nn.Sequential(*layers, shape.output())


def _dense_body(
    shape: _Shape, hidden: Sequence[int], rules: tuple[str, float, str], condition: str
) -> tuple[nn.Sequential, int]:
    """The layers in front of the score, and their number of features; rules: norm, dropout and activation."""
    norm, dropout, activation = rules
    more = shape.num_classes if condition == "concatenation" and len(shape.inputs) == 1 else 0
    planes = int(bool(shape.num_classes)) if condition == "concatenation" and len(shape.inputs) == 3 else 0
    first = prod(shape.inputs) + more + planes * prod(shape.inputs[1:])
    layers: list[nn.Module] = [nn.Flatten()]
    for number, (fan_in, fan_out) in enumerate(pairwise((first, *hidden))):
        layers += [nn.Linear(fan_in, fan_out), *(norm_1d(norm, fan_out) if number else ()), activation_of(activation)]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers), hidden[-1]


def _convolved_generator(
    shape: _Shape, latent: int, channels: Sequence[int], norm: str, activation: str
) -> nn.Sequential:
    """Dense to the smallest maps, whose size doubles in front of each convolution but the last."""
    sizes = [shape.inputs[1:]]
    for _ in channels[1:]:
        sizes.insert(0, tuple(-(-side // 2) for side in sizes[0]))
    first = (channels[0], *sizes[0])
    layers: list[nn.Module] = [nn.Linear(latent + shape.num_classes, prod(first)), nn.Unflatten(1, first)]
    layers += norm_2d(norm, channels[0])
    for (fan_in, fan_out), size in zip(pairwise(channels), sizes[1:], strict=True):
        layers += [nn.Upsample(size=size), nn.Conv2d(fan_in, fan_out, _KERNEL, padding=1)]
        layers += [*norm_2d(norm, fan_out), activation_of(activation)]
    layers.append(nn.Conv2d(channels[-1], shape.inputs[0], _KERNEL, padding=1))
    return nn.Sequential(*layers, shape.output())


def _convolved_body(
    shape: _Shape, channels: Sequence[int], rules: tuple[str, float, str], condition: str
) -> tuple[nn.Sequential, int]:
    """The layers in front of the score, and their number of features, which follows from the size of the images."""
    norm, dropout, activation = rules
    planes = int(condition == "concatenation" and shape.num_classes > 0)
    layers: list[nn.Module] = []
    height, width = shape.inputs[1:]
    for number, (fan_in, fan_out) in enumerate(pairwise((shape.inputs[0] + planes, *channels))):
        stride = 2 if min(height, width) > _SMALLEST else 1
        layers += [nn.Conv2d(fan_in, fan_out, _KERNEL, stride, padding=1), activation_of(activation)]
        layers += [nn.Dropout2d(dropout)] if dropout else []
        layers += norm_2d(norm, fan_out) if number else []
        height, width = -(-height // stride), -(-width // stride)
    return nn.Sequential(*layers, nn.Flatten()), channels[-1] * height * width


def _conditions(shape: _Shape, condition: str, features: int) -> tuple[nn.Module | None, nn.Module | None]:
    """(projection, plane) of a discriminator; None where it has none."""
    if not shape.num_classes:
        return None, None
    if condition == "projection":
        return nn.Linear(shape.num_classes, features, bias=False), None
    if len(shape.inputs) == 1:
        return None, nn.Identity()
    size = shape.inputs[1:]
    return None, nn.Sequential(nn.Linear(shape.num_classes, prod(size)), nn.Unflatten(1, (1, *size)))
