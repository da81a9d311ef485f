"""What does a table of many rows and columns cost to load? Time against pandas, memory against the features themselves.

    python -m benchmarks.data.tables [--rows 1000000] [--columns 50] [--rounds 3]

One class, three columns of four texts, one in eight of whole numbers, the others of numbers with six digits. Each round
reads the file in processes of their own, in turn: `pandas.read_csv`, and `data=csv` until its bundle (form, cells,
labels, split, medians, standardized float32 features, fingerprint). `time` is the processor time of the reading over
that of pandas, the fastest round of each; `memory` is what the largest resident size grew by, over the size of the
float32 features.

Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

_READ = """
import json, resource, sys, time
import pandas as pd, torch
from dlexp.data.columns import tensor_of
from dlexp.data.sources.table_file import table_file
from dlexp.data.tables.spelling import MISSING
size = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
path, who, held = sys.argv[1], sys.argv[2], size()
begun, clock = time.process_time(), time.perf_counter()
if who == "pandas":
    features = 0
    table = pd.read_csv(path)
else:
    bundle = table_file(path=path, target="y", target_kind="class", missing_values=list(MISSING))
    features = sum(tensor_of(split.inputs).nbytes for split in bundle.splits.values())
took, wall = time.process_time() - begun, time.perf_counter() - clock
print(json.dumps({"time": took, "wall": wall, "grown": size() - held, "features": features}))
"""


def write(path: Path, rows: int, columns: int) -> None:
    """A table with a target y, in pieces of 50,000 rows."""
    rng = np.random.default_rng(0)
    texts, wholes = 3, columns // 8
    for first in range(0, rows, 50_000):
        count = min(50_000, rows - first)
        cells = {f"f{number}": rng.normal(size=count) for number in range(columns - texts - wholes - 1)}
        cells |= {f"i{number}": rng.integers(0, 10_000, count) for number in range(wholes)}
        cells |= {f"c{number}": rng.choice(["red", "green", "blue", "yellow"], count) for number in range(texts)}
        frame = pd.DataFrame({**cells, "y": (cells["f0"] + cells["f1"] > 0).astype(int)})
        frame.to_csv(path, index=False, mode="a", header=not first, float_format="%.6g")


def measured(path: Path, who: str) -> dict[str, float]:
    """What one reader takes in a process of its own."""
    line = [sys.executable, "-c", _READ, str(path), who]
    found: dict[str, float] = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
    return found


def main() -> None:
    """Write the file, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    words = parser.parse_args()
    with TemporaryDirectory() as name:
        path = Path(name) / "table.csv"
        write(path, words.rows, words.columns)
        rounds = [{who: measured(path, who) for who in ("pandas", "data=csv")} for _ in range(words.rounds)]
    best = {who: min(one[who]["time"] for one in rounds) for who in rounds[0]}
    features = rounds[0]["data=csv"]["features"]
    print(f"| {words.rows:,} x {words.columns} | processor s | time | memory, MB | memory |\n|---|---|---|---|---|")
    for who, took in best.items():
        grown = min(one[who]["grown"] for one in rounds)
        print(f"| {who} | {took:.1f} | {took / best['pandas']:.1f} | {grown / 1e6:,.0f} | {grown / features:.1f} |")


if __name__ == "__main__":
    main()
