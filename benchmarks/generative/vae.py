"""How well variational autoencoders learn the digits: the bound on the likelihood, and how many latents are used.

    python -m benchmarks.generative.vae [--seeds 3] [--words trainer.epochs=60 ...]

Trains each configuration of `CONFIGURATIONS` with each seed and evaluates it on the test split. Prints Markdown: mean,
lowest and highest of -ELBO and of the importance-weighted bound in nats, latents above 0.01 nats, and processor seconds
of the training; last what needs no network.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

LONG = ("trainer.epochs=100", "task.kl_warmup_epochs=30")
CONFIGURATIONS = (
    ("model=vae",),
    ("model=vae", *LONG),
    ("model=vae", "model.conditional=true"),
    ("model=vae", "model.conditional=true", *LONG),
    ("model=vae", "model.conditional=true", "trainer.epochs=100"),
)


def evaluated(words: Sequence[str], folder: Path) -> tuple[dict[str, Any], float]:
    """report.json of the test split of a new run, and the processor seconds of its training."""
    import dlexp
    from dlexp.workflows.evaluate.evaluate import evaluate_run

    start = time.process_time()
    run = dlexp.train("data=digits", *words, run_dir=folder, progress=False)
    seconds = time.process_time() - start
    return evaluate_run(Path(run.path), "test", "best", {}, ()), seconds


def spread(values: Sequence[float]) -> str:
    """Mean, and the lowest and highest."""
    return f"{mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Train, evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--words", nargs="*", default=[], help="more overrides")
    given = parser.parse_args()
    print("| words | seeds | -ELBO | iwae | latents in use | processor s |\n|---|---|---|---|---|---|")
    report: dict[str, Any] = {}
    for words in CONFIGURATIONS:
        found: dict[str, list[float]] = {"loss": [], "iwae": [], "used": [], "seconds": []}
        for seed in range(given.seeds):
            with tempfile.TemporaryDirectory() as folder:
                report, seconds = evaluated([*words, f"seed={seed}", *given.words], Path(folder) / "run")
            values = report["metrics"]
            used = report["latents"] - values["collapsed_latents"]
            for name, value in (("loss", values["loss"]), ("iwae", values["iwae"]), ("used", used)):
                found[name].append(value)
            found["seconds"].append(seconds)
        used_text = f"{min(found['used']):.0f} to {max(found['used']):.0f}"
        cells = [f"`{' '.join(words)}`", str(given.seeds), spread(found["loss"]), spread(found["iwae"]), used_text]
        print(f"| {' | '.join(cells)} | {mean(found['seconds']):.0f} |", flush=True)
    for name, metrics in report["baselines"].items():
        print(f"\n{name}: {', '.join(f'{metric} {value:.2f}' for metric, value in metrics.items())}")


if __name__ == "__main__":
    main()
