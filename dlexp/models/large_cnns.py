"""Convolutional networks of torchvision, with first layers for small images.

The small stem preserves the resolution, which the published stem reduces: images below 96 pixels would be reduced to a
single pixel before the last block. Initialization is that of torchvision.

Symbols: B batch, C channels, H and W height and width in pixels, O outputs.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from dlexp.models.layers import hookable, image_shape, is_small

__all__ = ["convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "mobilenet_v2", "mobilenet_v3"]


def googlenet(*, input_shape: tuple[int, ...], num_outputs: int, stem: str = "auto", dropout: float = 0.2) -> nn.Module:
    """GoogLeNet of nine Inception modules with batch normalization (Szegedy et al. 2015): (B, C, H, W) -> (B, O).

    6,624,904 parameters at (3, 224, 224) and a thousand classes; without the auxiliary heads, which are
    unnecessary with batch normalization.

    Args:
        stem: First layers: small (3x3, stride 1, no pooling before the first module), imagenet (7x7, stride 2), or
            auto.
        dropout: Probability in [0, 1) that an input of the last layer is zeroed in training.
    """
    import torchvision

    channels, _, _ = image_shape("googlenet", input_shape)
    model: nn.Module = torchvision.models.googlenet(
        num_classes=num_outputs, aux_logits=False, init_weights=True, transform_input=False, dropout=dropout
    )
    small = is_small(stem, input_shape)
    _refit(model, "conv1.conv", channels, small)
    if small:
        model.maxpool1 = model.maxpool2 = nn.Identity()
    return hookable(model)


def densenet121(
    *, input_shape: tuple[int, ...], num_outputs: int, stem: str = "auto", dropout: float = 0.0
) -> nn.Module:
    """DenseNet-121 (Huang et al. 2017, arXiv:1608.06993): (B, C, H, W) -> (B, O).

    Growth 32, dense blocks of 6, 12, 24 and 16. 7,978,856 parameters at (3, 224, 224) and a thousand classes. Images
    of at least 8x8 pixels, or 32x32 with the ImageNet stem, because of three poolings.

    Args:
        stem: First layers: small (3x3, stride 1, no pooling), imagenet (7x7, stride 2, pooling), or auto: small below
            96 pixels.
        dropout: Probability in [0, 1) that an output of a dense layer is zeroed in training.
    """
    import torchvision

    small = is_small(stem, input_shape) if len(input_shape) == 3 else False
    channels, _, _ = image_shape("densenet121", input_shape, smallest=8 if small else 32)
    model: nn.Module = torchvision.models.densenet121(num_classes=num_outputs, drop_rate=dropout)
    _refit(model, "features.conv0", channels, small)
    if small:
        model.get_submodule("features").pool0 = nn.Identity()
    return hookable(model)


def mobilenet_v2(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    stem: str = "auto",
    width_factor: float = 1.0,
    dropout: float = 0.2,
) -> nn.Module:
    """MobileNetV2: inverted residuals with depthwise convolutions (Sandler et al. 2018): (B, C, H, W) -> (B, O).

    3,504,872 parameters at (3, 224, 224) and a thousand classes.

    Args:
        stem: First layers: small (without the first two strides of 2), imagenet, or auto: small below 96 pixels.
        width_factor: Factor > 0 of the published channels of every layer.
        dropout: Probability in [0, 1) that an input of the last layer is zeroed in training.
    """
    import torchvision

    channels, _, _ = image_shape("mobilenet_v2", input_shape)
    model: nn.Module = torchvision.models.mobilenet_v2(
        num_classes=num_outputs, width_mult=width_factor, dropout=dropout
    )
    return _keep_resolution(model, channels, is_small(stem, input_shape))


def mobilenet_v3(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    variant: str = "small",
    stem: str = "auto",
    width_factor: float = 1.0,
    dropout: float = 0.2,
) -> nn.Module:
    """MobileNetV3: with squeeze-and-excitation and hard swish (Howard et al. 2019): (B, C, H, W) -> (B, O).

    2,542,856 (small) and 5,483,032 (large) parameters at (3, 224, 224) and a thousand classes.

    Args:
        variant: Published variant: small or large.
        stem: First layers: small (without the first two strides of 2), imagenet, or auto: small below 96 pixels.
        width_factor: Factor > 0 of the published channels of every layer.
        dropout: Probability in [0, 1) that an input of the last layer is zeroed in training.
    """
    import torchvision

    if variant not in ("small", "large"):
        raise ValueError(f"unknown variant={variant!r}; available: small, large")
    channels, _, _ = image_shape("mobilenet_v3", input_shape)
    make = getattr(torchvision.models, f"mobilenet_v3_{variant}")
    # With the momentum of torchvision, 0.01, running means need thousands of updates.
    norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.1)
    model: nn.Module = make(num_classes=num_outputs, width_mult=width_factor, dropout=dropout, norm_layer=norm)
    return _keep_resolution(model, channels, is_small(stem, input_shape))


def efficientnet_b0(
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    stem: str = "auto",
    dropout: float = 0.2,
    drop_path: float = 0.2,
) -> nn.Module:
    """EfficientNet-B0 (Tan & Le 2019, arXiv:1905.11946): (B, C, H, W) -> (B, O).

    5,288,548 parameters at (3, 224, 224) and a thousand classes.

    Args:
        stem: First layers: small (without the first two strides of 2), imagenet, or auto: small below 96 pixels.
        dropout: Probability in [0, 1) that an input of the last layer is zeroed in training.
        drop_path: Probability in [0, 1) of stochastic depth: that the last residual branch is skipped for a sample in
            training; it increases linearly from 0 in the first.
    """
    import torchvision

    channels, _, _ = image_shape("efficientnet_b0", input_shape)
    model: nn.Module = torchvision.models.efficientnet_b0(
        num_classes=num_outputs, dropout=dropout, stochastic_depth_prob=drop_path
    )
    return _keep_resolution(model, channels, is_small(stem, input_shape))


def convnext_tiny(
    *, input_shape: tuple[int, ...], num_outputs: int, stem: str = "auto", drop_path: float = 0.1
) -> nn.Module:
    """ConvNeXt-T (Liu et al. 2022, arXiv:2201.03545): (B, C, H, W) -> (B, O).

    28,589,128 parameters at (3, 224, 224) and a thousand classes. Images of at least 8x8 pixels, or 32x32
    with the ImageNet stem, because of three strided convolutions.

    Args:
        stem: First layers: small (3x3, stride 1), imagenet (4x4, stride 4), or auto: small below 96 pixels.
        drop_path: Probability in [0, 1) of stochastic depth: that the last residual branch is skipped for a sample in
            training; it increases linearly from 0 in the first.
    """
    import torchvision

    small = is_small(stem, input_shape) if len(input_shape) == 3 else False
    channels, _, _ = image_shape("convnext_tiny", input_shape, smallest=8 if small else 32)
    model: nn.Module = torchvision.models.convnext_tiny(num_classes=num_outputs, stochastic_depth_prob=drop_path)
    _refit(model, "features.0.0", channels, small)
    return hookable(model)


def _keep_resolution(model: nn.Module, channels: int, small: bool) -> nn.Module:
    """Replace the first convolution; for small images, remove its stride and that of the next strided convolution."""
    _refit(model, "features.0.0", channels, small)
    if small:
        dividing = next(m for m in model.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2))
        dividing.stride = (1, 1)
    return hookable(model)


def _refit(model: nn.Module, name: str, channels: int, small: bool) -> None:
    """Replace the first convolution if channels or resolution require it, by 3x3 for small images."""
    old = model.get_submodule(name)
    assert isinstance(old, nn.Conv2d)
    if not small and channels == old.in_channels:
        return
    kernel, stride, border = (3, 1, 1) if small else (old.kernel_size[0], old.stride[0], old.padding[0])
    new = nn.Conv2d(channels, old.out_channels, kernel, stride, int(border), bias=old.bias is not None)
    nn.init.kaiming_normal_(new.weight, mode="fan_out")
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, new)
