"""Is the rate that lr-find suggests a good one? Training at it against a grid of seven rates, half a decade apart.

    python -m benchmarks.training.lr_find [--epochs 10] [--seeds 3] [CASE ...]

A case is `model,data,optim`; images are not augmented. Each cell is the best validation loss of a run of that many
epochs (cosine schedule, all else as configured) and its accuracy or R2 there, means over the seeds; the sweep is made
once, with the first seed. Prints Markdown.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore
from dlexp.assemble.experiment import assemble
from dlexp.assemble.training import prepare_training
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.engine.loop import EpochRecord, FitPlan, StepRecord, fit
from dlexp.errors import Diverged
from dlexp.runtime.process import prepare_process
from dlexp.runtime.signals import NeverStop
from dlexp.workflows.lr_find.lr_find import find_rate
from dlexp.workflows.lr_find.settings import SweepSettings
from dlexp.workflows.reporter import Silent

MODELS = (("mlp", "digits"), ("simple_cnn", "digits"), ("mlp", "breast_cancer"), ("mlp", "diabetes"))
CASES = tuple(f"{model},{data},{optim}" for model, data in MODELS for optim in ("sgd", "adamw"))
LOWEST = {"sgd": 1e-3, "adamw": 1e-4}
POINTS = 7


@dataclass(frozen=True)
class Outcome:
    """What training at one rate came to, as means over the seeds; score is accuracy or R2."""

    loss: float
    spread: float
    score: float

    def __str__(self) -> str:
        return f"{self.loss:.4f} ± {self.spread:.4f}, {self.score:.3f}"


def train(words: list[str]) -> tuple[float, float]:
    """(validation loss, accuracy or R2) at the best epoch of one run; (inf, nan) when it diverges."""
    config = load(words, Catalog())
    experiment = assemble(config)
    setup = prepare_training(experiment)
    best = {"val/loss": float("inf")}

    def remember(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, EpochRecord) and record.is_best:
            best.update(record.values)

    plan = FitPlan(
        experiment.task,
        setup.batches,
        list(experiment.split("val")),
        setup.rules,
        config.trainer.epochs,
        config.trainer.accumulate,
        config.monitor,
        observers=[remember],
    )
    with tempfile.TemporaryDirectory() as folder:
        try:
            fit(plan, setup.state, CheckpointStore(Path(folder), lambda text: None), NeverStop())
        except Diverged:
            return float("inf"), float("nan")
    return best["val/loss"], best.get("val/accuracy", best.get("val/r2", float("nan")))


def outcome(words: list[str], rate: float, epochs: int, seeds: int) -> Outcome:
    """Train at `rate` once a seed."""
    more = [f"optim.lr={rate!r}", f"trainer.epochs={epochs}"]
    losses, scores = zip(*(train([*words, *more, f"seed={seed}"]) for seed in range(42, 42 + seeds)), strict=True)
    spread = statistics.stdev(losses) if seeds > 1 and all(map(math.isfinite, losses)) else 0.0
    return Outcome(statistics.fmean(losses), spread, statistics.fmean(scores))


def main() -> None:
    """Print a row a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print("| case | suggested | there | top of the range | there | best of the grid | there | losses of the grid |")
    print("|---|---|---|---|---|---|---|---|")
    for case in options.cases:
        model, data, optim = case.split(",")
        words = [f"model={model}", f"data={data}", f"optim={optim}"]
        words += ["data.augment=none"] if data == "digits" else []
        findings, case_text = find_rate(load(words, Catalog()), SweepSettings(), (), Silent(), ""), case
        if findings.rate is None:  # as lr-find would advise
            findings = find_rate(load(words, Catalog()), SweepSettings(loss="val"), (), Silent(), "")
            case_text = f"{case} (--loss val)"
        grid = [LOWEST[optim] * 10 ** (number / 2) for number in range(POINTS)]
        found = [outcome(words, rate, options.epochs, options.seeds) for rate in grid]
        best = min(range(POINTS), key=lambda number: found[number].loss)
        cells = [case_text]
        for rate in (findings.steepest, 10**findings.verdict.high, grid[best]):
            reached = "-" if rate is None else str(outcome(words, rate, options.epochs, options.seeds))
            cells += ["none" if rate is None else f"{rate:.2g}", reached]
        cells.append(", ".join(f"{one.loss:.3f}" for one in found))
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    prepare_process()
    main()
