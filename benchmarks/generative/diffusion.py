"""Diffusion on digits: processor time of training, and the worth of samples beside the same figures of real data.

    python -m benchmarks.generative.diffusion --seeds 3
    python -m benchmarks.generative.diffusion --seeds 1 --words model.hidden=[128,128] --rules 20 200 20:3

Each seed is a `dlexp train model=diffusion data=digits` in a process of its own, of which the processor time counts.
The judge is a classifier with two hidden layers, trained on the training split. Samples are as many as that split has,
as many of each class. Figures:

    frechet  between features of the judge, of the samples and of the held-out rows (validation and test); its floor is
             the same figure with the training rows in place of the samples
    cas      accuracy on the test split of a classifier trained on the samples alone; its floor is that of the judge
    agrees   share of the samples in which the judge sees the class that was asked for
    copies   share of the samples nearer to a training row than 99 % of the test rows are
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.assemble.experiment import build_data
from dlexp.data.bundle import DataBundle
from dlexp.data.columns import read_all
from dlexp.networks.modes import evaluation_mode
from dlexp.tasks.generative.base import Sampling, noise
from dlexp.tasks.generative.diffusion.task import Diffusion
from dlexp.types import as_tensor
from dlexp.workflows.run_record.restore import RestoredRun, RestoreOptions, restore_run

FIRST_SEED = 42
FIGURES = ("frechet", "cas", "agrees", "copies")
Rows = tuple[Tensor, Tensor]  # (N, D) in the network's range, (N,) classes


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, sample and print a Markdown table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--words", nargs="*", default=[])
    parser.add_argument("--rules", nargs="*", default=["20", "10", "200", "20:3"], help="steps, or steps:guidance")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found: dict[str, list[dict[str, float]]] = {}
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
            place = Path(folder) / str(seed)
            seconds.append(trained(place, [*options.words, f"seed={seed}"]))
            for name, figures in measured(place, options.rules, seed).items():
                found.setdefault(name, []).append(figures)
    print(f"training: {spread(seconds, 1)} s of processor time, n = {len(seconds)}\n")
    print("| samples |", " | ".join(FIGURES), "|")
    print("|---|" + "---|" * len(FIGURES))
    for name, rows in found.items():
        cells = [spread([row[figure] for row in rows], 2) for figure in FIGURES if figure in rows[0]]
        print(f"| {name} |", " | ".join(cells + [""] * (len(FIGURES) - len(cells))), "|")


def spread(values: Sequence[float], digits: int) -> str:
    """Mean and range."""
    return f"{statistics.fmean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def trained(place: Path, words: Sequence[str]) -> float:
    """Processor seconds of a training in the directory `place`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "dlexp", "train", "model=diffusion", "data=digits", *words, "-o", str(place), "-q"]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(place: Path, rules: Sequence[str], seed: int) -> dict[str, dict[str, float]]:
    """The figures of the samples by each rule, and of the training rows in their place."""
    run = restore_run(place, RestoreOptions())
    bundle = build_data(run.experiment.config)
    train, val, test = (rows_of(bundle, split) for split in ("train", "val", "test"))
    held_out = (torch.cat([val[0], test[0]]), torch.cat([val[1], test[1]]))
    judge = classifier(train, seed)
    found = {"training rows": figures(judge, train, train, held_out, test, seed)}
    for rule in rules:
        steps, _, guidance = rule.partition(":")
        samples = sampled(run, len(train[0]), int(steps), float(guidance or 1), seed)
        found[f"{steps} steps" + (f", guidance {guidance}" if guidance else "")] = figures(
            judge, samples, train, held_out, test, seed
        )
    return found


def rows_of(bundle: DataBundle, split: str) -> Rows:
    """The rows of a split, flat, in the network's range."""
    part = bundle.splits[split]
    assert part.targets is not None
    inputs = bundle.preprocess(as_tensor(read_all(part.inputs)))
    return as_tensor(inputs).flatten(1), as_tensor(read_all(part.targets))


def sampled(run: RestoredRun, count: int, steps: int, guidance: float, seed: int) -> Rows:
    """`count` samples, as many of each class."""
    task, networks = run.experiment.task, run.experiment.networks
    assert isinstance(task, Diffusion)
    indices = torch.arange(count)
    classes = indices % task.num_classes
    rule = Sampling(seed, indices, F.one_hot(classes, task.num_classes).float(), steps, guidance)
    shape = task.noise_shape(dict(networks.items()))
    with evaluation_mode(networks), torch.inference_mode():
        found = task.decoded(dict(networks.items()), noise(shape, seed, indices), rule)
    return found.flatten(1).clone(), classes


def classifier(rows: Rows, seed: int, epochs: int = 60) -> nn.Sequential:
    """A network of two hidden layers that is trained on `rows`."""
    torch.manual_seed(seed)
    inputs, targets = rows
    found = nn.Sequential(nn.Linear(inputs.shape[1], 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.AdamW(found.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for part in torch.randperm(len(inputs)).split(64):
            noisy = inputs[part] + 0.1 * torch.randn_like(inputs[part])
            optimizer.zero_grad()
            F.cross_entropy(found(noisy), targets[part]).backward()
            optimizer.step()
        schedule.step()
    return found.requires_grad_(False)


def figures(
    judge: nn.Sequential, samples: Rows, train: Rows, held_out: Rows, test: Rows, seed: int
) -> dict[str, float]:
    """See the module. Shares are in percent."""

    def accuracy(network: nn.Module, rows: Rows) -> float:
        return 100 * float((network(rows[0]).argmax(1) == rows[1]).float().mean())

    own = samples if samples is not train else None
    found = {
        "frechet": frechet(judge[:4](samples[0]).numpy(), judge[:4](held_out[0]).numpy()),
        "cas": accuracy(judge if own is None else classifier(own, seed), test),
        "agrees": accuracy(judge, samples),
    }
    if own is not None:
        limit = nearest(test[0], train[0]).quantile(0.01)
        found["copies"] = 100 * (nearest(own[0], train[0]) < limit).float().mean().item()
    return found


def nearest(rows: Tensor, others: Tensor) -> Tensor:
    """(N,) distance to the nearest of `others`."""
    return torch.cdist(rows, others).amin(1)


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """Squared Frechet distance of the normal distributions of two sets of features (N, F)."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    one, two = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    values, vectors = np.linalg.eigh(one)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ two @ root).clip(0)).sum()
    gap = first.mean(0) - second.mean(0)
    return float(gap @ gap + np.trace(one) + np.trace(two) - 2 * cross)


if __name__ == "__main__":
    main()
