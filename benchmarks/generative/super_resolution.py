"""How much more like the originals enlarged patches are than their bicubic enlargement.

    python -m benchmarks.generative.super_resolution [--seeds 3] [--words trainer.epochs=40 ...]

Trains each configuration of `CONFIGURATIONS` with each seed and evaluates it on the test split of data=photos. Prints
Markdown: mean, lowest and highest of the gain in PSNR over bicubic enlargement, the means of PSNR and SSIM, those of
the bicubic enlargement, and processor seconds of the training.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.generative.runs import evaluated, spread

CONFIGURATIONS = (
    ("experiment=super_resolution",),
    ("experiment=super_resolution", "model=espcn"),
    ("experiment=super_resolution", "task.pixel_loss=l2"),
    ("experiment=super_resolution", "data.factor=4"),
)


def main() -> None:
    """Train, evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of configurations, from 0; all if left out")
    parser.add_argument("--words", nargs="*", default=[], help="more overrides")
    given = parser.parse_args()
    chosen = [CONFIGURATIONS[n] for n in given.only] if given.only else CONFIGURATIONS
    print(
        "| words | seeds | gain in dB | PSNR | SSIM | bicubic PSNR, SSIM | processor s |\n|---|---|---|---|---|---|---|"
    )
    for words in chosen:
        reports: list[dict[str, Any]] = []
        seconds: list[float] = []
        for seed in range(given.seeds):
            with tempfile.TemporaryDirectory() as folder:
                report, took = evaluated([*words, f"seed={seed}", *given.words], Path(folder) / "run")
            reports.append(report)
            seconds.append(took)
        usual = reports[0]["baselines"]["bicubic enlargement"]
        values = {name: [report["metrics"][name] for report in reports] for name in ("psnr", "ssim")}
        gains = [value - usual["psnr"] for value in values["psnr"]]
        cells = [
            *(f"`{' '.join(words)}`", str(given.seeds), spread(gains), f"{mean(values['psnr']):.2f}"),
            *(f"{mean(values['ssim']):.3f}", f"{usual['psnr']:.2f}, {usual['ssim']:.3f}", f"{mean(seconds):.0f}"),
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
