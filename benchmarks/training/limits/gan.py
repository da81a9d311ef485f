"""The limit of row (dcgan): a DCGAN of 28x28 images, the discriminator on fresh samples first, then the generator.

Symbols: B samples of a batch, Z latent numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness.turns import Turns
from benchmarks.training.limits.images import autocast
from benchmarks.training.limits.loop import keep_memory

SIDE, LATENT = 28, 100
_EVALUATED, _COMPARED = 256, 1000


def dcgan(turns: Turns, dtype: str, device: str, sizes: Sequence[int], batch: int = 64) -> None:
    """Epoch after epoch; dlexp's `model=dcgan data=synthetic_images data.image_size=28 data.channels=1`.

    dtype  bf16 (autocast) or fp32
    sizes  images for training and validation
    """
    keep_memory()
    place = torch.device(device)
    turns.know(dtype=dtype, device=device)
    images = torch.randint(0, 256, (sum(sizes), 1, SIDE, SIDE), dtype=torch.uint8, device=place)
    train, val = images.split(list(sizes))
    nets = [made.to(place).to(memory_format=torch.channels_last) for made in (generator(), discriminator())]
    make, judge = nets
    parameters = [list(network.parameters()) for network in nets]
    optimizers = [torch.optim.Adam(own, lr=2e-4, betas=(0.5, 0.999), fused=True) for own in parameters]
    num_batches = -(-len(train) // batch)
    while True:
        samples = 0
        for number, picked in enumerate(torch.randperm(len(train), device=place).split(batch), start=1):
            real = normal(train[picked])
            with autocast(dtype, place):
                with torch.no_grad():
                    made = make(torch.randn(len(real), LATENT, device=place))
                loss = F.softplus(-judge(real).float()).mean() + F.softplus(judge(made).float()).mean()
            loss.backward()
            optimizers[1].step()
            optimizers[1].zero_grad()
            judge.requires_grad_(False)
            with autocast(dtype, place):
                loss = F.softplus(-judge(make(torch.randn(len(real), LATENT, device=place))).float()).mean()
            loss.backward()
            optimizers[0].step()
            optimizers[0].zero_grad()
            judge.requires_grad_(True)
            samples += len(real)
            turns.step(number, num_batches, samples)
        validate(make, judge, val, dtype)
        turns.epoch(samples)


def normal(images: Tensor) -> Tensor:
    """uint8 (B, 1, S, S) -> float32 in [-1, 1], in channels_last."""
    return images.to(torch.float32, memory_format=torch.channels_last).mul_(2 / 255).sub_(1)


def validate(make: nn.Module, judge: nn.Module, val: Tensor, dtype: str) -> float:
    """The energy distance between samples and images, and the scores of both, as dlexp computes them."""
    make.eval()
    judge.eval()
    made, data = [], []
    with torch.inference_mode(), autocast(dtype, val.device):
        for images in val.split(_EVALUATED):
            data.append(normal(images))
            made.append(make(torch.randn(len(images), LATENT, device=val.device)).float())
            judge(data[-1])
            judge(made[-1])
    left, right = (torch.cat(parts)[:_COMPARED].flatten(1).double() for parts in (made, data))
    within = sum(torch.cdist(one, one).sum() / (len(one) * (len(one) - 1)) for one in (left, right))
    make.train()
    judge.train()
    return float(2 * torch.cdist(left, right).mean() - within)


def generator() -> nn.Module:
    """(B, Z) -> (B, 1, 28, 28), as `model=dcgan`."""
    layers: list[nn.Module] = [nn.Linear(LATENT, 128 * 49), nn.Unflatten(1, (128, 7, 7)), nn.BatchNorm2d(128)]
    for before, after in ((128, 128), (128, 64)):
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after)]
        layers.append(nn.LeakyReLU(0.2))
    return nn.Sequential(*layers, nn.Conv2d(64, 1, 3, padding=1), nn.Tanh())


def discriminator() -> nn.Module:
    """(B, 1, 28, 28) -> (B,), as `model=dcgan`."""
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise((1, 16, 32, 64, 128))):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.LeakyReLU(0.2), nn.Dropout2d(0.25)]
        layers += [nn.BatchNorm2d(after)] if number else []
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 1), nn.Flatten(0))
