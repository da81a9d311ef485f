"""The limit of row (diffusion): a U-Net on digits that knows classes, v at random times, an average of weights.

Symbols: N samples, B samples of a batch, T times.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness.turns import Turns
from benchmarks.training.limits.loop import keep_memory

TIMES, EVALUATED = 200, 4


def digits(turns: Turns, batch: int = 64) -> None:
    """Epoch after epoch; dlexp's `model=diffusion data=digits` in fp32."""
    keep_memory()
    from dlexp.models.generative.denoiser import denoiser

    turns.know(dtype="fp32")
    x, y, val, val_classes = _data()
    network = denoiser(input_shape=(1, 8, 8), num_classes=10)
    mean = denoiser(input_shape=(1, 8, 8), num_classes=10).eval()
    parameters, averages = list(network.parameters()), [value.detach() for value in mean.parameters()]
    weights = [value.detach() for value in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, fused=True)
    angle = torch.linspace(0.008, 1, TIMES + 1)[1:] * math.pi / 2
    signal, spread = angle.cos()[:, None, None, None], angle.sin()[:, None, None, None]

    def loss(model: nn.Module, clear: Tensor, classes: Tensor) -> Tensor:
        times = torch.randint(TIMES, (len(clear),))
        noise, a, s = torch.randn_like(clear), signal[times], spread[times]
        return F.mse_loss(model(a * clear + s * noise, (times + 1) / TIMES, classes), a * noise - s * clear)

    num_batches = -(-len(x) // batch)
    while True:
        samples = 0
        order = torch.randperm(len(x))
        for number, (clear, shown) in enumerate(zip(x[order].split(batch), y[order].split(batch), strict=True), 1):
            loss(network, clear, shown * (torch.rand(len(shown), 1) > 0.1)).backward()
            optimizer.step()
            for parameter in parameters:
                parameter.grad = None
            torch._foreach_lerp_(averages, weights, 0.005)
            samples += len(clear)
            turns.step(number, num_batches, samples)
        with torch.inference_mode():
            for _ in range(EVALUATED):
                loss(mean, val, val_classes)
        turns.epoch(samples)


def _data() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images (N, 1, 8, 8) in [-1, 1] and weights of the classes (N, 10) for training, and the same for validation."""
    from dlexp.data.columns import tensor_of
    from dlexp.data.sources.sklearn_sets import digits as data

    found: list[Tensor] = []
    for name in ("train", "val"):
        split = data(augment="none").splits[name]
        classes = F.one_hot(tensor_of(split.targets), 10).float()
        found += [tensor_of(split.inputs).float() / 8 - 1, classes]
    x, y, val, val_classes = found
    return x, y, val, val_classes
