"""Samples of a generative run, made in batches of bounded memory.

Symbols: N samples, B samples of a batch, C classes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from dlexp.assemble.experiment import Experiment
from dlexp.networks.modes import evaluation_mode
from dlexp.runtime.seed import generator, kept_randomness
from dlexp.specs import ClassSpec
from dlexp.tasks.generative.base import GenerativeTask, Sampling, noise

MOST = 10_000  # samples that are made where no number is given
FEWEST = 500  # that are made however long it takes
_SECONDS = 600.0  # of making them, after which fewer are made


@dataclass(frozen=True)
class SampleWishes:
    """The samples that an evaluation makes.

    Attributes:
        count: N; 0 for none; None for as many as there are training samples, at most 10,000, and fewer of a model that
            takes longer than ten minutes for them.
        steps: Denoising steps, None for the run's own.
        guidance: Strength of classifier-free guidance, None for the run's own.
        say: Receives the progress.
    """

    count: int | None = None
    steps: int | None = None
    guidance: float | None = None
    say: Callable[[str], None] = field(default=lambda text: None)


@dataclass(frozen=True)
class GeneratedSamples:
    """Samples that a run made.

    Attributes:
        inputs: (N, *shape) float32 on the CPU, in the network's own numbers.
        classes: (N,) int64 the class that each was asked to be; None without conditions.
        wanted: How many were to be made.
    """

    inputs: Tensor
    classes: Tensor | None
    wanted: int


def made_samples(experiment: Experiment, task: GenerativeTask, request: SampleWishes) -> GeneratedSamples:
    """The samples 0 to N - 1 of the run's own seed, in evaluation mode; the generators are put back.

    Those of a conditional model are of classes that are drawn with their shares of the training split.
    """
    networks, seed = dict(experiment.networks.items()), experiment.config.seed
    shape = task.noise_shape(networks)
    assert shape is not None, "the caller checks it"
    options = task.options(networks)
    wanted = min(MOST, len(experiment.bundle.splits["train"])) if request.count is None else request.count
    classes = _classes(experiment, wanted, seed) if "classes" in options else None
    size, parts, done = experiment.config.eval_batch_size, [], 0
    begun, count = time.monotonic(), wanted
    with kept_randomness(), evaluation_mode(experiment.networks), torch.inference_mode():
        while done < count:
            indices = torch.arange(done, min(done + size, count))
            chosen = None if classes is None else F.one_hot(classes[indices], task.num_classes).float()
            sampling = Sampling(
                seed,
                indices,
                None if chosen is None else chosen.to(experiment.device),
                request.steps,
                request.guidance,
                _progress(request.say, done, len(indices), count),
            )
            latents = noise(shape, seed, indices).to(experiment.device)
            with experiment.precision.autocast():
                parts.append(task.decoded(networks, latents, sampling).float().cpu())
            done += len(indices)
            request.say(f"samples: {done:,} of {count:,}")
            if request.count is None:
                count = _affordable(count, done, time.monotonic() - begun)
    inputs = torch.cat(parts)
    return GeneratedSamples(inputs, None if classes is None else classes[: len(inputs)], wanted)


def _affordable(count: int, done: int, seconds: float) -> int:
    """As many samples as are made within the time, at least `FEWEST`."""
    if seconds * count <= _SECONDS * done:
        return count
    return max(done, min(count, max(FEWEST, int(_SECONDS / seconds * done))))


def _classes(experiment: Experiment, count: int, seed: int) -> Tensor:
    """(N,) class numbers, drawn with the shares of the training split."""
    targets = experiment.bundle.spec.targets
    assert isinstance(targets, ClassSpec), "conditional models have classes"
    shares = torch.tensor(targets.counts or [1] * len(targets.names), dtype=torch.float64)
    return torch.multinomial(shares, count, replacement=True, generator=generator(seed, "sample classes"))


def _progress(say: Callable[[str], None], done: int, size: int, count: int) -> Callable[[int, int], None]:
    def observe(step: int, steps: int) -> None:
        say(f"samples {done + 1:,} to {done + size:,} of {count:,}: step {step} of {steps}")

    return observe
