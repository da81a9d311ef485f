"""What pictures of samples cost while a run trains, in processor time.

    python -m benchmarks.generative.pictures [--lines "model=autoencoder data=digits" ...] [--seeds 3]

Trains each line with the default of trainer.sample_every (ten pictures) and measures the processor time of the
pictures, of the animation, and of the whole training. Prints a row of Markdown for each line: mean over the seeds, and
the spread of the share.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any
from unittest.mock import patch

LINES = ("model=autoencoder data=digits", "model=flow data=digits", "model=flow data=two_moons")


def timed(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """`function`, which adds its processor seconds to `spent`."""

    def call(*given: Any, **named: Any) -> Any:
        start = time.process_time()
        try:
            return function(*given, **named)
        finally:
            spent.append(time.process_time() - start)

    return call


def cost(line: str, seed: int, folder: Path) -> tuple[float, float, float]:
    """Processor seconds of the training, of its pictures, and of its animation."""
    import matplotlib.figure  # noqa: F401  a run draws its curves anyway

    import dlexp
    from dlexp.workflows.sample import while_training
    from dlexp.workflows.train import train

    drawn: list[float] = []
    joined: list[float] = []
    observe = timed(while_training._SamplePictures.observe, drawn)
    start = time.process_time()
    with (
        patch.object(while_training._SamplePictures, "observe", lambda self, record: observe(self, record)),
        patch.object(train, "write_animation", timed(train.write_animation, joined)),
    ):
        dlexp.train(*line.split(), f"seed={seed}", run_dir=folder, progress=False)
    return time.process_time() - start, sum(drawn), sum(joined)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", nargs="*", default=list(LINES))
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    print("| line | whole run, s | pictures, s | animation, s | share of both |\n|---|---|---|---|---|")
    for line in given.lines:
        with tempfile.TemporaryDirectory() as place:
            found = [cost(line, seed, Path(place) / str(seed)) for seed in range(given.seeds)]
        shares = [100 * (pictures + animation) / whole for whole, pictures, animation in found]
        whole, pictures, animation = (mean(column) for column in zip(*found, strict=True))
        spread = f"{mean(shares):.1f} % ({min(shares):.1f} to {max(shares):.1f})"
        print(f"| `{line}` | {whole:.1f} | {pictures:.2f} | {animation:.2f} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
