"""The limits of rows (b) and (c), convolutional networks on drawn images.

Symbols: B samples of a batch, C channels, S height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.data.random_images import MEAN, STD, pixels
from benchmarks.harness.turns import Turns
from benchmarks.training.limits.loop import Work, keep_memory, train


def images(turns: Turns, model: str, dtype: str, device: str, sizes: Sequence[int], batch: int = 128) -> None:
    """Rows (b) and (c): crop by 4 pixels and flip, in channels_last.

    model  cnn or resnet18
    dtype  bf16 (autocast) or fp32
    sizes  images for training, validation and test
    """
    keep_memory()
    turns.know(dtype=dtype, device=device)
    train(turns, image_work(model, dtype, device, sizes, batch))


def image_work(model: str, dtype: str, device: str, sizes: Sequence[int], batch: int) -> Work:
    """The work of `images`."""
    count, place = sizes[0], torch.device(device)
    x, y = (torch.from_numpy(array).to(place) for array in pixels(sum(sizes)))
    chosen = slice(count, count + sizes[1])
    val = normal(x[chosen]).contiguous(memory_format=torch.channels_last), y[chosen]
    network = {"cnn": convolutions, "resnet18": resnet}[model]().to(place).to(memory_format=torch.channels_last)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for picked in torch.randperm(count, device=place).split(batch):
            yield normal(cropped(x[picked])), y[picked]

    return Work(network, batches, -(-count // batch), val, lambda: autocast(dtype, place))


def autocast(dtype: str, device: torch.device) -> AbstractContextManager[Any]:
    """The context of a forward pass in bf16 or fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if dtype == "bf16" else nullcontext()


def cropped(images: Tensor, pad: int = 4) -> Tensor:
    """Each moved by up to `pad` pixels and mirrored or not: (B, C, S, S) -> the same shape, in one gather."""
    count, _, size, _ = images.shape
    top, left = torch.randint(0, 2 * pad + 1, (2, count), device=images.device)
    windows = F.pad(images, (pad, pad, pad, pad)).unfold(2, size, 1).unfold(3, size, 1)
    moved = windows[torch.arange(count, device=images.device), :, top, left]
    mirrored = torch.rand(count, 1, 1, 1, device=images.device) < 0.5
    return torch.where(mirrored, moved.flip(3), moved)


def normal(images: Tensor) -> Tensor:
    """uint8 (B, C, S, S) -> float32 of mean 0 and deviation 1, in channels_last."""
    return images.to(torch.float32, memory_format=torch.channels_last).sub_(MEAN).mul_(1 / STD)


def convolutions() -> nn.Module:
    """The network of row (b), as `model=simple_cnn`."""
    blocks: list[nn.Module] = []
    for before, after in ((3, 32), (32, 64), (64, 128)):
        blocks += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    head = [nn.Flatten(), nn.Linear(2048, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 10)]
    return nn.Sequential(*blocks, *head)


def resnet() -> nn.Module:
    """torchvision's ResNet-18 with a 3x3 first layer and no pooling behind it, as `model=resnet18` on small images."""
    import torchvision

    model: nn.Module = torchvision.models.resnet18(num_classes=10)
    model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    return model
