"""How well variational autoencoders learn the digits: the bound on the likelihood, and how many latents are used.

    python -m benchmarks.generative.vae [--seeds 3] [--words trainer.epochs=60 ...]

Trains each configuration of `CONFIGURATIONS` with each seed and evaluates it on the test split. Prints Markdown: mean,
lowest and highest of -ELBO and of the importance-weighted bound in nats, latents above 0.01 nats, and processor seconds
of the training; last what needs no network.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.generative.runs import evaluated, spread

LONG = ("trainer.epochs=100", "task.kl_warmup_epochs=30")
CONFIGURATIONS = (
    ("model=vae",),
    ("model=vae", *LONG),
    ("model=vae", "model.conditional=true"),
    ("model=vae", "model.conditional=true", *LONG),
    ("model=vae", "model.conditional=true", "trainer.epochs=100"),
)


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
                report, seconds = evaluated(["data=digits", *words, f"seed={seed}", *given.words], Path(folder) / "run")
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
