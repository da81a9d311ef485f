"""How far the rounding of a stack carries: nowhere in smooth networks, and to the weights that nothing else moves."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor

from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.artifacts.runs.metrics_log import read_metrics
from dlexp.cli.app import main

SEEDS = (42, 43, 44)


def train(*words: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(["train", "-q", *words])
    assert not end.value.code, words


def weights(folder: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = read_checkpoint(folder / "checkpoints" / "last.pt")["networks"]
    return found


def distance(one: Tensor, other: Tensor) -> float:
    """The largest difference, relative to the largest number."""
    return float((one.double() - other.double()).abs().max() / one.double().abs().max())


def test_a_convolutional_network_with_cutmix_is_the_same_run() -> None:
    # Smooth activations: at the kink of a ReLU rounding decides on which side a unit is, in a stack as in a run alone
    # whose weights are rounded otherwise, and the two gradients differ by what a sample adds to it.
    line: tuple[str, ...] = (
        "data=digits",
        "model=simple_cnn",
        "model.channels=[4]",
        "model.fc=16",
        "model.activation=gelu",
        "optim=sgd",
    )
    line += ("optim.lr=0.01", "regularization=cutmix", "trainer.precision=fp32", "trainer.epochs=3", "--seeds", "3")
    train(*line, "-o", "alone")
    train(*line, "-o", "stacked", "--stacked")
    for seed in SEEDS:
        assert "in a stack of 3 runs" in Path(f"stacked/seed-{seed}/train.log").read_text()
        one, other = (weights(Path(f"{name}/seed-{seed}")) for name in ("alone", "stacked"))
        assert max(distance(one[name], other[name]) for name in one if one[name].is_floating_point()) < 1e-4


def test_adam_moves_a_bias_before_batch_normalization_by_rounding_and_nothing_else_depends_on_it() -> None:
    line: tuple[str, ...] = (
        "data=iris",
        "model=mlp",
        "model.hidden=[16]",
        "model.activation=gelu",
        "model.dropout=0",
        "optim=adamw",
    )
    line += ("optim.lr=0.001", "trainer.epochs=5", "--seeds", "3")
    train(*line, "-o", "alone")
    train(*line, "-o", "stacked", "--stacked")
    for seed in SEEDS:
        folders = [Path(f"{name}/seed-{seed}") for name in ("alone", "stacked")]
        one, other = map(weights, folders)
        apart = {name: distance(one[name], other[name]) for name in one if one[name].is_floating_point()}
        moved = {
            name: apart.pop(f"model.{name}") for name in ("1.bias", "2.running_mean")
        }  # the mean is of what it shifts
        assert max(apart.values()) < 1e-5
        assert max(moved.values()) < 0.2  # at most the sum of all steps of Adam
        before, after = (read_metrics(folder / "metrics.csv")[1] for folder in folders)
        for row, again in zip(before, after, strict=True):
            assert float(again["val/loss"]) == pytest.approx(float(row["val/loss"]), rel=1e-3)
