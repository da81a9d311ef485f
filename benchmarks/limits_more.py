"""Further limits: the MLP with its gradient written out by hand, and a network that only answers.

Symbols: B samples of a batch, F features, H and G hidden units, C classes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from benchmarks import limits
from benchmarks.random_images import pixels
from benchmarks.turns import Turns

_WIDTHS = (64, 128, 64, 10)


class Hand:
    """The MLP of row (a) without autograd: one flat tensor of weights, one of gradients, one call of fused AdamW."""

    def __init__(self) -> None:
        layers = [layer for layer in limits.perceptron(False) if isinstance(layer, nn.Linear)]
        parts = [part.detach() for layer in layers for part in (layer.weight, layer.bias)]
        self.flat = torch.cat([part.flatten() for part in parts])
        self.gradient = torch.zeros_like(self.flat)
        self.moments = [torch.zeros_like(self.flat), torch.zeros_like(self.flat)]
        self.updates = torch.tensor(0.0)
        sizes = [part.numel() for part in parts]
        shape = [part.shape for part in parts]
        self.weights = [v.view(s) for v, s in zip(self.flat.split(sizes), shape, strict=True)]
        self.gradients = [v.view(s) for v, s in zip(self.gradient.split(sizes), shape, strict=True)]
        self.turned = [weight.t() for weight in self.weights[::2]]

    def logits(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, F) -> both hidden layers (B, H), (B, G) and the logits (B, C)."""
        b = self.weights[1::2]
        first = torch.addmm(b[0], x, self.turned[0]).relu_()
        second = torch.addmm(b[1], first, self.turned[1]).relu_()
        return first, second, torch.addmm(b[2], second, self.turned[2])

    def update(self, x: Tensor, hot: Tensor) -> None:
        """One AdamW update on inputs (B, F) and one-hot classes (B, C), by the gradient of the mean cross entropy."""
        first, second, logits = self.logits(x)
        delta = logits.softmax(dim=1).sub_(hot).mul_(1 / len(x))
        for number, below in ((2, second), (1, first), (0, x)):
            torch.mm(delta.t(), below, out=self.gradients[2 * number])
            torch.sum(delta, 0, out=self.gradients[2 * number + 1])
            if number:
                delta = torch.mm(delta, self.weights[2 * number])
                delta = torch.ops.aten.threshold_backward(delta, below, 0)
        self.updates += 1
        torch._fused_adamw_(
            [self.flat],
            [self.gradient],
            [self.moments[0]],
            [self.moments[1]],
            [],
            [self.updates],
            lr=2e-3,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.01,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )


def digits(turns: Turns, batch: int = 64) -> None:
    """Row (a) by hand."""
    limits.keep_memory()
    x, y, (x_val, y_val) = limits.digits_data()
    hot, work = torch.eye(10)[y], Hand()
    count = -(-len(y) // batch)
    turns.know(dtype="fp32")
    with torch.inference_mode():
        while True:
            order, samples = torch.randperm(len(y)), 0
            pairs = zip(x[order].split(batch), hot[order].split(batch), strict=True)
            for number, (inputs, classes) in enumerate(pairs, start=1):
                work.update(inputs, classes)
                samples += len(inputs)
                turns.step(number, count, samples)
            logits = work.logits(x_val)[2]
            nn.functional.cross_entropy(logits, y_val).item(), (logits.argmax(1) == y_val).sum().item()
            turns.epoch(samples)


def evaluate(turns: Turns, dtype: str, device: str, sizes: Sequence[int], fold: bool, batch: int) -> None:
    """Row (c) answering: probabilities of every validation image; weights in `dtype` too, batch norms folded."""
    limits.keep_memory()
    work = limits.image_work("resnet18", dtype, device, sizes, 128)
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
                answers.append(network(limits.normal(images).to(kind)).float().softmax(dim=1))
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
