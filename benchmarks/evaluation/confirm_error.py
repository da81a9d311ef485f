"""How often does the confirmation of `dlexp tune` call a trial better than the baseline when none is? Simulated.

    python -m benchmarks.evaluation.confirm_error [--repetitions 10000]

Baseline and trials draw their values on fresh seeds from one normal distribution. A verdict that names a
trial is wrong, which at most 2.5 of 100 should be. The last column judges the best of ten as if it were the
only one. Prints Markdown.
"""

from __future__ import annotations

import argparse

import numpy as np

from dlexp.workflows.tune.files import Confirmation

_SEEDS, _TRIALS = (2, 3, 5, 10), (1, 2, 3, 5, 10)


def false_winners(trials: int, seeds: int, repetitions: int, seed: int = 0, alone: bool = False) -> float:
    """The share of repetitions in which one of `trials` equal trials is called better than the baseline.

    alone  judge the best as if it were the only one
    """
    rng, wrong = np.random.default_rng(seed), 0
    for _ in range(repetitions):
        drawn = rng.normal(size=(trials + 1, seeds))
        if alone:
            drawn = np.stack((drawn[0], max(drawn[1:], key=np.mean)))
        names = ("baseline", *(f"trial {number}" for number in range(1, len(drawn))))
        values = {name: [float(value) for value in row] for name, row in zip(names, drawn, strict=True)}
        wrong += Confirmation.of(values, maximize=True).winner != "baseline"
    return wrong / repetitions


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=10_000)
    repetitions = parser.parse_args().repetitions
    print("| seeds | " + " | ".join(f"best of {trials}" for trials in _TRIALS) + " | of 10, at 95 % |")
    print("|---" * (len(_TRIALS) + 2) + "|")
    for seeds in _SEEDS:
        shares = [false_winners(trials, seeds, repetitions) for trials in _TRIALS]
        shares.append(false_winners(_TRIALS[-1], seeds, repetitions, alone=True))
        print(f"| {seeds} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |", flush=True)


if __name__ == "__main__":
    main()
