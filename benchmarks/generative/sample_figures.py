"""What the figures of `dlexp evaluate` say of samples whose worth is known: real ones, Gaussians, noise, copies.

    python -m benchmarks.generative.sample_figures [--data digits] [--seeds 3]

Each row stands for a model; as many samples as there are training rows are drawn with each seed and measured as those
of a run are, against the test split. `real` are the training rows themselves: the floor. Prints Markdown: mean and
standard deviation over the seeds, and the processor seconds of one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from statistics import mean, stdev

import numpy as np
import torch
from torch import Tensor

from dlexp.assemble.experiment import build_data
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.data.bundle import DataBundle
from dlexp.workflows.evaluate.generated.comparison import SampleComparison
from dlexp.workflows.evaluate.generated.reading import RealSamples, read_real
from dlexp.workflows.evaluate.generated.samples import MOST, GeneratedSamples
from dlexp.workflows.evaluate.generated.scale import CommonScale

Draw = Callable[[RealSamples, torch.Generator], Tensor]


def gaussian(real: RealSamples, rng: torch.Generator) -> Tensor:
    """A Gaussian with the mean and the covariance of the training rows."""
    flat = real.inputs.flatten(1).double()
    values, vectors = torch.linalg.eigh(torch.from_numpy(np.cov(flat.numpy(), rowvar=False)))
    noise = torch.randn(flat.shape, generator=rng, dtype=torch.float64) * values.clamp_min(0).sqrt()
    found: Tensor = noise @ vectors.T + flat.mean(0)
    return found.float().reshape(real.inputs.shape)


def single(real: RealSamples, rng: torch.Generator) -> Tensor:
    """Each number alone, with its mean and its deviation."""
    return real.inputs.mean(0) + real.inputs.std(0) * torch.randn(real.inputs.shape, generator=rng)


def uniform(real: RealSamples, rng: torch.Generator) -> Tensor:
    """Each number uniform between the smallest and the largest of all."""
    low, high = real.inputs.min(), real.inputs.max()
    return low + (high - low) * torch.rand(real.inputs.shape, generator=rng)


def copied(real: RealSamples, rng: torch.Generator) -> Tensor:
    """Training rows, drawn with replacement."""
    return real.inputs[torch.randint(len(real), (len(real),), generator=rng)]


def blurred(real: RealSamples, rng: torch.Generator) -> Tensor:
    """Training rows with noise of a fifth of the deviation of all numbers."""
    return real.inputs + 0.2 * real.inputs.std() * torch.randn(real.inputs.shape, generator=rng)


def one_missing(real: RealSamples, rng: torch.Generator) -> Tensor:
    """Training rows of all classes but the first, drawn with replacement."""
    assert real.targets is not None, "data with classes"
    others = torch.from_numpy(np.flatnonzero(real.targets > 0))
    return real.inputs[others[torch.randint(len(others), (len(real),), generator=rng)]]


MODELS: Mapping[str, Draw] = {
    "real": lambda real, rng: real.inputs,
    "copies of training rows": copied,
    "copies with noise": blurred,
    "one class missing": one_missing,
    "Gaussian of all pixels": gaussian,
    "pixels one by one": single,
    "noise": uniform,
}
FIGURES = ("frechet", "precision", "recall", "coverage", "near_copies", "cas", "class_distance")


def measured(bundle: DataBundle, draw: Draw, seed: int) -> dict[str, float]:
    """The figures of the samples that `draw` makes of the training rows."""
    plain = CommonScale.of(bundle)
    common = plain.applied(bundle)
    scale = CommonScale(common.preprocess, plain.white)  # samples are on the common scale already
    stand_in = read_real(common, "train", MOST, seed)
    made = draw(stand_in, torch.Generator().manual_seed(seed))
    inputs = made if plain.white is None else made.clamp(-1, 1)
    samples = GeneratedSamples(inputs, None, len(inputs))
    reference = read_real(common, "test", MOST, seed)
    of_samples = (samples, 0, inputs)
    cpu = torch.device("cpu")
    compared = SampleComparison(scale, common, "test", *of_samples, stand_in, reference, cpu, lambda text: None)
    return {name: figure.value for name, figure in compared.figures().items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    bundle = build_data(load([f"data={given.data}"], Catalog()))
    print(f"| {given.data}, n = {given.seeds} | {' | '.join(FIGURES)} | CPU s |\n|---|{'---|' * (len(FIGURES) + 1)}")
    for label, draw in MODELS.items():
        begun = time.process_time()
        found = [measured(bundle, draw, seed) for seed in range(given.seeds)]
        seconds = (time.process_time() - begun) / given.seeds
        cells = []
        for name in FIGURES:
            values = [one[name] for one in found]
            spread = f" ({stdev(values):.2g})" if len(values) > 1 else ""
            cells.append(f"{mean(values):.3g}{spread}")
        print(f"| {label} | {' | '.join(cells)} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
