"""Samples of a generative task, in batches of one size, so that sample K of a seed has the same bits in any company.

Symbols: N samples, C classes, Z latent numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from dlexp.assemble.experiment import Experiment
from dlexp.networks.modes import evaluation_mode
from dlexp.runtime.precision import Precision
from dlexp.runtime.seed import derive, kept_randomness, seed_global
from dlexp.tasks.base import Networks
from dlexp.tasks.generative.base import Encodes, GenerativeTask, Sampling, class_weights, noise
from dlexp.types import Batch
from dlexp.workflows.sample.own_units import Array, OwnUnits

BATCH = 32  # samples; the bits of a sample may depend on the size of its batch, and on its place there

Progress = Callable[[int, int], None]  # (steps done, steps in all)


@dataclass(frozen=True)
class Tiles:
    """What is decoded: N latents, each with its number, which is its place in a batch, and its classes.

    Attributes:
        numbers: N numbers, ascending.
        latents: Numbers -> their latents.
        indices: Numbers -> the samples whose random numbers they have.
        classes: Numbers -> (n, C) weights, None for no classes.
    """

    numbers: Sequence[int]
    latents: Callable[[Sequence[int]], Tensor]
    indices: Callable[[Sequence[int]], Sequence[int]] = list
    classes: Callable[[Sequence[int]], Tensor] | None = None


@dataclass(frozen=True)
class SampleMaker:
    """A task with its networks, and the way back to the units of the data; `name` is what the user calls the task."""

    name: str
    task: GenerativeTask
    networks: nn.ModuleDict
    device: torch.device
    precision: Precision
    units: OwnUnits

    @classmethod
    def of(cls, experiment: Experiment, task: GenerativeTask, units: OwnUnits) -> SampleMaker:
        """That of an experiment."""
        return cls(
            f"task={experiment.config.task.option}",
            task,
            experiment.networks,
            experiment.device,
            experiment.precision,
            units,
        )

    @property
    def named(self) -> Networks:
        """The networks by name."""
        return dict(self.networks.items())

    @property
    def takes_classes(self) -> bool:
        """Whether samples are made for classes."""
        return "classes" in self.options and self.task.num_classes > 0

    @property
    def options(self) -> frozenset[str]:
        """What of `Sampling` has an effect."""
        return self.task.options(self.named)

    @property
    def noise_shape(self) -> tuple[int, ...] | None:
        """Shape of the noise of a sample; None where inputs can only be reconstructed."""
        return self.task.noise_shape(self.named)

    def noise(self, seed: int, numbers: Sequence[int]) -> Tensor:
        """(N, *shape) noise of samples. Raises ValueError for a task that only reconstructs."""
        shape = self.noise_shape
        if shape is None:
            raise ValueError("this task makes no samples of its own")
        return noise(shape, seed, torch.tensor(list(numbers), dtype=torch.int64))

    def one_hot(self, classes: Sequence[int | None]) -> Tensor:
        """(N, C) weights: 1 at each class, zeros for None."""
        found = torch.zeros(len(classes), self.task.num_classes)
        for row, number in enumerate(classes):
            if number is not None:
                found[row, number] = 1
        return found

    def decoded(self, tiles: Tiles, sampling: Sampling, progress: Progress = lambda done, total: None) -> Array:
        """(N, *shape) in the units of the data.

        Args:
            tiles: What is decoded.
            sampling: Seed, steps and guidance.
            progress: Called with the steps done and those in all.
        """
        parts = []
        batches = list(_batches(tiles.numbers))
        with self._undisturbed():
            for done, (start, numbers) in enumerate(batches):
                seed_global(derive(sampling.seed, "sample", start))

                def step(now: int, total: int, done: int = done) -> None:
                    progress(done * total + now, len(batches) * total)

                made = self._batch(tiles, numbers, start, replace(sampling, progress=step))
                parts.append(self.units.array(made))
                step(1, 1)
        return np.concatenate(parts)

    def encoded(self, batch: Batch) -> Tensor:
        """(N, *latent shape) of the samples of a batch, on the CPU. The task must be one that encodes."""
        assert isinstance(self.task, Encodes)
        with self._undisturbed(), self.precision.autocast():
            seed_global(0, "encode")
            return self.task.encoded(self.named, batch).float().cpu()

    def classes_of(self, batch: Batch) -> Tensor | None:
        """(N, C) weights of the classes of a batch, None where the task has no use for them."""
        found = class_weights(batch, self.task.num_classes) if self.takes_classes else None
        return None if found is None else found.cpu()

    def _batch(self, tiles: Tiles, numbers: Sequence[int], start: int, sampling: Sampling) -> Tensor:
        """The samples of some numbers, each at its place in a full batch."""
        places = [number - start for number in numbers]
        at = dict.fromkeys(range(BATCH), 0) | {place: n for n, place in enumerate(places)}
        order = torch.tensor(list(at.values()))
        latents = tiles.latents(numbers)[order].to(self.device)
        indices = torch.tensor(list(tiles.indices(numbers)), dtype=torch.int64)[order]
        classes = None if tiles.classes is None else tiles.classes(numbers)[order].to(self.device)
        with self.precision.autocast():
            made = self.task.decoded(self.named, latents, replace(sampling, indices=indices, classes=classes))
        return made[torch.tensor(places, device=made.device)].float().cpu()

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """Evaluation mode, no gradients, and the generators and modes as before afterwards."""
        with kept_randomness(), evaluation_mode(self.networks), torch.no_grad():
            yield


def _batches(numbers: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """The numbers by batch, with the number that the batch begins with."""
    batch: list[int] = []
    for number in numbers:
        if batch and number // BATCH != batch[0] // BATCH:
            yield batch[0] // BATCH * BATCH, batch
            batch = []
        batch.append(number)
    if batch:
        yield batch[0] // BATCH * BATCH, batch


def slerp(first: Tensor, last: Tensor, shares: Tensor) -> Tensor:
    """(K, *shape) points on the great circle from `first` to `last` (White 2016), where noise is as probable as at the
    ends; straight for latents of (nearly) the same direction.

    Args:
        first, last: (*shape).
        shares: (K,) in [0, 1].
    """
    a, b = first.flatten().double(), last.flatten().double()
    cosine = torch.dot(a, b) / (a.norm() * b.norm()).clamp(min=1e-12)
    angle = torch.arccos(cosine.clamp(-1, 1))
    t = shares.double()[:, None]
    if float(torch.sin(angle)) < 1e-6:
        found = (1 - t) * a + t * b
    else:
        found = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
    return found.reshape(len(shares), *first.shape).to(first.dtype)
