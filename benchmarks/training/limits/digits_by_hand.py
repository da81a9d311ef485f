"""The limit of row (a) without autograd: the MLP with its gradient written out by hand.

Symbols: B samples of a batch, F features, H and G hidden units, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.harness.turns import Turns
from benchmarks.training.limits.digits import digits_data, perceptron
from benchmarks.training.limits.loop import keep_memory

_WIDTHS = (64, 128, 64, 10)


class Hand:
    """The MLP of row (a) without autograd: one flat tensor of weights, one of gradients, one call of fused AdamW."""

    def __init__(self) -> None:
        layers = [layer for layer in perceptron(False) if isinstance(layer, nn.Linear)]
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
    keep_memory()
    x, y, (x_val, y_val) = digits_data()
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
