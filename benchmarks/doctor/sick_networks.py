"""Small networks with one mistake each, the mistakes of people who write their own; dlexp reaches them through --trust.

Each is a healthy network, `plain`, with one thing changed; `body` says which: `mlp` (two hidden layers), `cnn` (two
convolutions) or `attention` (patches, one transformer block). `plain` is the healthy twin of all others.

Symbols: B samples, C, H and W channels, height and width of an image, F features, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU}
PATCH = 2  # pixels
WIDTH = 32


class Patches(nn.Module):
    """Images (B, C, H, W) -> tokens (B, H W / 4, WIDTH) with learned positions; features (B, F) -> a token each."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.is_image = len(shape) == 3
        count = shape[1] * shape[2] // PATCH**2 if self.is_image else shape[0]
        self.embed = nn.Linear(shape[0] * PATCH**2 if self.is_image else 1, WIDTH)
        self.positions = nn.Parameter(torch.randn(count, WIDTH) / WIDTH**0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.is_image:
            patches = nn.functional.unfold(inputs, PATCH, stride=PATCH).transpose(1, 2)
        else:
            patches = inputs[:, :, None]
        embedded: Tensor = self.embed(patches)
        return embedded + self.positions


class Block(nn.Module):
    """One transformer block, and the mean over its tokens: (B, T, WIDTH) -> (B, WIDTH)."""

    def __init__(self, activation: str) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, 4, batch_first=True)
        self.ffn = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), ACTIVATIONS[activation](), nn.Linear(2 * WIDTH, WIDTH))

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm1(tokens)
        tokens = tokens + self.attention(normed, normed, normed, need_weights=False)[0]
        pooled: Tensor = (tokens + self.ffn(self.norm2(tokens))).mean(1)
        return pooled


def features(body: str, shape: Sequence[int], activation: str) -> tuple[nn.Module, int]:
    """The layers before the head, and how many features they make of a sample."""
    act = ACTIVATIONS[activation]
    if body == "mlp":
        sizes = (int(torch.tensor(shape).prod()), 64, WIDTH)
        layers: list[nn.Module] = [nn.Flatten()]
        for entering, leaving in pairwise(sizes):
            layers += [nn.Linear(entering, leaving), act()]
        return nn.Sequential(*layers), WIDTH
    if body == "cnn":
        first = [nn.Conv2d(shape[0], 8, 3, padding=1), act(), nn.MaxPool2d(2)]
        second = [nn.Conv2d(8, 16, 3, padding=1), act(), nn.MaxPool2d(2), nn.Flatten()]
        return nn.Sequential(*first, *second), 16 * (shape[1] // 4) * (shape[2] // 4)
    if body == "attention":
        return nn.Sequential(Patches(shape), Block(activation)), WIDTH
    raise ValueError(f"body={body!r} must be mlp, cnn or attention")


def plain(
    *, input_shape: Sequence[int], num_outputs: int, body: str = "mlp", activation: str = "relu"
) -> nn.Sequential:
    """The healthy network: samples (B, *input_shape) -> (B, O)."""
    layers, size = features(body, input_shape, activation)
    return nn.Sequential(layers, nn.Linear(size, num_outputs))


def softmax_end(*, input_shape: Sequence[int], num_outputs: int, body: str, activation: str) -> nn.Module:
    """Probabilities where the loss expects logits, and takes their softmax again."""
    healthy = plain(input_shape=input_shape, num_outputs=num_outputs, body=body, activation=activation)
    return nn.Sequential(*healthy, nn.Softmax(dim=1))


def sigmoid_end(*, input_shape: Sequence[int], num_outputs: int, body: str, activation: str) -> nn.Module:
    """Outputs in (0, 1), whatever logits or values are asked for."""
    healthy = plain(input_shape=input_shape, num_outputs=num_outputs, body=body, activation=activation)
    return nn.Sequential(*healthy, nn.Sigmoid())


def large_head(*, input_shape: Sequence[int], num_outputs: int, body: str, activation: str, factor: float) -> nn.Module:
    """Weights of the output layer that are much too large at the start: sure of anything, and wrong."""
    healthy = plain(input_shape=input_shape, num_outputs=num_outputs, body=body, activation=activation)
    with torch.no_grad():
        weight: Tensor = healthy[-1].weight  # type: ignore[assignment]
        weight.mul_(factor)
    return healthy


def dead(*, input_shape: Sequence[int], num_outputs: int, body: str, activation: str, bias: float) -> nn.Module:
    """Biases so negative at the start that most units answer 0 to every sample."""
    healthy = plain(input_shape=input_shape, num_outputs=num_outputs, body=body, activation=activation)
    with torch.no_grad():
        for layer in _before_activations(healthy[0]):
            assert layer.bias is not None
            layer.bias.fill_(bias)
    return healthy


def large_weights(
    *, input_shape: Sequence[int], num_outputs: int, body: str, activation: str, factor: float
) -> nn.Module:
    """Weights before the activations that are much too large at the start: tanh and sigmoid answer with their ends."""
    healthy = plain(input_shape=input_shape, num_outputs=num_outputs, body=body, activation=activation)
    with torch.no_grad():
        for layer in _before_activations(healthy[0]):
            layer.weight.mul_(factor)
    return healthy


class Cut(nn.Module):
    """A network whose features are cut off from the gradient, as by a forgotten `detach()`."""

    def __init__(self, healthy: nn.Sequential) -> None:
        super().__init__()
        self.features, self.head = healthy[0], healthy[1]

    def forward(self, inputs: Tensor) -> Tensor:
        cut: Tensor = self.head(self.features(inputs).detach())
        return cut


def cut(*, input_shape: Sequence[int], num_outputs: int, body: str, activation: str) -> nn.Module:
    """`detach()` between features and head."""
    return Cut(plain(input_shape=input_shape, num_outputs=num_outputs, body=body, activation=activation))


class Skipping(nn.Module):
    """A network that has its features and never calls them: the head reads the samples."""

    def __init__(self, healthy: nn.Sequential, in_features: int, num_outputs: int) -> None:
        super().__init__()
        self.features, self.head = healthy[0], nn.Linear(in_features, num_outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        skipped: Tensor = self.head(inputs.flatten(1))
        return skipped


def skipping(
    *, input_shape: Sequence[int], num_outputs: int, in_features: int, body: str, activation: str
) -> nn.Module:
    """Layers that are never called."""
    healthy = plain(input_shape=input_shape, num_outputs=num_outputs, body=body, activation=activation)
    return Skipping(healthy, in_features, num_outputs)


class Root(nn.Module):
    """The square root of `limit` less the input, 0 above: the branch that is not taken still has a gradient, NaN."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.where(inputs < self.limit, (self.limit - inputs).sqrt(), 0.0)


def root(*, input_shape: Sequence[int], num_outputs: int, body: str, activation: str, limit: float) -> nn.Module:
    """Square roots before the head, of numbers that become negative when the features have grown."""
    healthy = plain(input_shape=input_shape, num_outputs=num_outputs, body=body, activation=activation)
    return nn.Sequential(healthy[0], Root(limit), healthy[1])


class HalfWeights(nn.Module):
    """A network whose weights themselves are bfloat16: small updates are rounded away."""

    def __init__(self, healthy: nn.Sequential) -> None:
        super().__init__()
        self.healthy = healthy.to(torch.bfloat16)

    def forward(self, inputs: Tensor) -> Tensor:
        answer: Tensor = self.healthy(inputs.to(torch.bfloat16))
        return answer.float()


def half_weights(*, input_shape: Sequence[int], num_outputs: int, body: str, activation: str) -> nn.Module:
    """Weights of 8 significant bits."""
    return HalfWeights(plain(input_shape=input_shape, num_outputs=num_outputs, body=body, activation=activation))


def deep(*, in_features: int, num_outputs: int, layers: int, gain: float, activation: str) -> nn.Module:
    """Many linear layers, each of which multiplies what passes, forward and backward, by about `gain`."""
    hidden: list[nn.Module] = [nn.Flatten(), nn.Linear(in_features, WIDTH), ACTIVATIONS[activation]()]
    for _ in range(layers):
        linear = nn.Linear(WIDTH, WIDTH)
        nn.init.normal_(linear.weight, 0.0, gain * (2 / WIDTH) ** 0.5)
        hidden += [linear, ACTIVATIONS[activation]()]
    return nn.Sequential(*hidden, nn.Linear(WIDTH, num_outputs))


def deep_cnn(*, input_shape: Sequence[int], num_outputs: int, layers: int, gain: float, activation: str) -> nn.Module:
    """Many 3x3 convolutions, each of which multiplies what passes by about `gain`; the mean over the pixels."""
    hidden: list[nn.Module] = [nn.Conv2d(input_shape[0], 16, 3, padding=1), ACTIVATIONS[activation]()]
    for _ in range(layers):
        convolution = nn.Conv2d(16, 16, 3, padding=1)
        nn.init.normal_(convolution.weight, 0.0, gain * (2 / (16 * 9)) ** 0.5)
        hidden += [convolution, ACTIVATIONS[activation]()]
    return nn.Sequential(*hidden, nn.Flatten(), nn.Linear(16 * input_shape[1] * input_shape[2], num_outputs))


def _before_activations(network: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    """The layers whose outputs go through an activation."""
    found: list[nn.Linear | nn.Conv2d] = []
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            for layer, after in pairwise(module):
                if isinstance(layer, nn.Linear | nn.Conv2d) and isinstance(after, tuple(ACTIVATIONS.values())):
                    found.append(layer)
    return found
