"""Small networks and data whose truth is known, for tests of explanations."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from dlexp.explain.methods import Subject
from dlexp.explain.parts import Parts
from dlexp.explain.score import Score

SIDE, MARK = 12, 3


def linear(weights: Tensor) -> Score:
    """The score of a linear model with `weights` of the shape of a sample."""
    return lambda values, rows: (values * weights).flatten(1).sum(1) + 1.5


def class_scores(columns: Tensor) -> Callable[[nn.Module], Score]:
    """The output `columns` (B,) of a network."""

    def made(network: nn.Module) -> Score:
        def score(values: Tensor, rows: Tensor) -> Tensor:
            found: Tensor = network(values).gather(1, columns[rows][:, None])[:, 0]
            return found

        return score

    return made


def marked_images(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """(images (N, 1, 12, 12), class (N,), mark (N, 12, 12) bool): noise with a 3 x 3 cross, or its negative."""
    drawn = torch.Generator().manual_seed(seed)
    images = 0.4 * torch.randn(count, 1, SIDE, SIDE, generator=drawn)
    classes = torch.randint(0, 2, (count,), generator=drawn)
    cross = torch.tensor([[-1, 1, -1], [1, 1, 1], [-1, 1, -1]]).float()
    shapes = torch.stack([2.5 * cross, -2.5 * cross])
    where = torch.zeros(count, SIDE, SIDE, dtype=torch.bool)
    places = torch.randint(1, SIDE - MARK, (count, 2), generator=drawn)
    for number, (top, left) in enumerate(places.tolist()):
        square = (slice(top, top + MARK), slice(left, left + MARK))
        images[number, 0][square] = shapes[classes[number]]
        where[number][square] = True
    return images, classes, where


@cache
def trained_cnn() -> nn.Sequential:
    """A network with batch normalization, dropout and ReLU in place that tells the two marks apart."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(8, 2),
    )
    images, classes, _ = marked_images(512, 1)
    fit(network, images, classes, 120)
    return network


def fit(network: nn.Module, inputs: Tensor, classes: Tensor, updates: int) -> None:
    """Train by Adam with autograd.grad on random batches of 64."""
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(parameters, 1e-2)
    network.train()
    for _ in range(updates):
        chosen = torch.randint(0, len(inputs), (64,))
        loss = nn.functional.cross_entropy(network(inputs[chosen]), classes[chosen])
        for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = slope
        optimizer.step()
    network.eval()


def image_subject(network: nn.Module, images: Tensor) -> Subject:
    """Images with the predicted class of `network` as what is explained."""
    with torch.no_grad():
        columns = network(images).argmax(1)
    zero = torch.zeros(1, 1, 1)
    parts = Parts.pixels(*images.shape[1:])
    return Subject(images, list(range(len(images))), zero, parts, True, class_scores(columns))
