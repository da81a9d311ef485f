"""The limit of the rows evaluate and predict: a network that only answers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from benchmarks.data.random_images import pixels
from benchmarks.harness.turns import Turns
from benchmarks.training.limits.images import image_work, normal
from benchmarks.training.limits.loop import keep_memory


def evaluate(turns: Turns, dtype: str, device: str, sizes: Sequence[int], fold: bool, batch: int) -> None:
    """Row (c) answering: probabilities of every validation image; weights in `dtype` too, batch norms folded."""
    keep_memory()
    work = image_work("resnet18", dtype, device, sizes, 128)
    kind = torch.bfloat16 if dtype == "bf16" else torch.float32
    network = folded(work.network.eval()) if fold else work.network.eval()
    network = network.to(kind).to(memory_format=torch.channels_last)
    chosen = slice(sizes[0], sizes[0] + sizes[1])
    x, y = (torch.from_numpy(array[chosen]).to(device) for array in pixels(sum(sizes)))
    turns.know(dtype=dtype, device=device)
    with torch.inference_mode():
        while True:
            hits = torch.zeros((), dtype=torch.int64, device=device)
            answers = []
            for images, classes in zip(x.split(batch), y.split(batch), strict=True):
                answers.append(network(normal(images).to(kind)).float().softmax(dim=1))
                hits += (answers[-1].argmax(dim=1) == classes).sum()
            torch.cat(answers), hits.item()
            turns.epoch(len(y))


def folded(network: nn.Module) -> nn.Module:
    """A copy of a torchvision ResNet in evaluation mode whose batch norms are in the convolutions before them."""
    network = copy.deepcopy(network)
    for module in network.modules():
        children = list(module.named_children())
        for (_, before), (name, after) in pairwise(children):
            if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                fused = fuse_conv_bn_eval(before, after)
                before.weight, before.bias = fused.weight, fused.bias
                setattr(module, name, nn.Identity())
    return network
