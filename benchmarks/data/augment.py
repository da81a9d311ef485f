"""What augmentation costs: an epoch with each preset against the same epoch without, on drawn images of 3x32x32.

    python -m benchmarks.data.augment [--rounds 5] [--samples 4000] [--model simple_cnn]

Two rows of numbers: `data` makes the batches of an epoch and nothing else; `train` makes the updates of dlexp's own
step on them too. Time is processor time on one thread, which other processes on the machine disturb least. Presets run
in turn, the first round is not counted, and a ratio is taken within a round. Prints the median of the ratios, their
range and n, as Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

PRESETS = ("none", "standard", "strong", "randaugment", "trivialaugment", "imagenet")


def epochs(preset: str, model: str, samples: int) -> dict[str, Callable[[int], int]]:
    """Name of a row -> what runs an epoch of it and returns its samples."""
    from dlexp.assemble.experiment import assemble
    from dlexp.assemble.training import prepare_training
    from dlexp.config.compose import load
    from dlexp.config.files.catalog import Catalog
    from dlexp.engine.step import train_step

    words = ["data=synthetic_images", f"data.num_samples={samples}", f"data.augment={preset}", f"model={model}"]
    experiment = assemble(load([*words, "trainer.threads=1", "trainer.device=cpu"], Catalog()))
    setup = prepare_training(experiment)
    setup.state.train_mode()

    def data(epoch: int) -> int:
        return sum(len(batch) for batch in setup.batches.epoch(epoch))

    def train(epoch: int) -> int:
        count = 0
        for batch in setup.batches.epoch(epoch):
            train_step(experiment.task, setup.state, [batch], setup.rules)
            count += len(batch)
        return count

    return {"data": data, "train": train}


def measured(rounds: int, samples: int, model: str) -> dict[tuple[str, str], list[float]]:
    """(row, preset) -> microseconds of processor time a sample, one number a round."""
    ready = {preset: epochs(preset, model, samples) for preset in PRESETS}
    found: dict[tuple[str, str], list[float]] = {(row, preset): [] for row in ("data", "train") for preset in PRESETS}
    for number in range(rounds + 1):
        for preset in PRESETS:
            for row, run in ready[preset].items():
                begin = time.process_time()
                count = run(number)
                if number:
                    found[row, preset].append(1e6 * (time.process_time() - begin) / count)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--model", default="simple_cnn")
    given = parser.parse_args()
    found = measured(given.rounds, given.samples, given.model)
    print(f"| row | preset | microseconds a sample | against none | range | n |\n|{'---|' * 6}")
    for (row, preset), times in found.items():
        ratios = [one / base for one, base in zip(times, found[row, "none"], strict=True)]
        median, low, high = statistics.median(ratios), min(ratios), max(ratios)
        ratio = f"{statistics.median(times):.1f} | {median:.2f} | {low:.2f}..{high:.2f} | {len(times)}"
        print(f"| {row} | {preset} | {ratio} |")


if __name__ == "__main__":
    main()
