"""What do large CSV files cost? Many rows are read against pandas; very many columns are trained on, start to end.

    python -m benchmarks.data.table_size [--rows 1000000] [--columns 100000] [--rounds 5] [--only rows columns]

rows     two random numbers and a class of them, as pandas writes them. Each round takes the processor seconds of
         `pandas.read_csv` and of dlexp's source in turn, in one process: `cells` is the reading (every column, the line
         of each row), `table` all of `data=csv` (cells, labels, split, medians, standardized features, fingerprint).
         `memory` is what the largest resident size grew by in the first round. The fastest of the rounds counts: a busy
         neighbor only adds to the seconds.
columns  30 rows of random numbers, `dlexp train` with one epoch in a process of its own: its processor seconds and
         largest resident size, those of a file of 10 columns beside it.

Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd


def write_rows(path: Path, count: int) -> None:
    """`count` rows: a, b, and whether their sum with some noise is above 0."""
    rng = np.random.default_rng(0)
    a, b, noise = rng.normal(size=(3, count))
    pd.DataFrame({"a": a, "b": b, "y": (a + b + 0.3 * noise > 0).astype(int)}).to_csv(path, index=False)


def write_columns(path: Path, count: int) -> None:
    """30 rows of `count` numbers and two classes."""
    rng = np.random.default_rng(0)
    header = ",".join([*(f"c{number}" for number in range(count)), "y"])
    rows = [",".join([*map(repr, rng.normal(size=count).tolist()), str(row % 2)]) for row in range(30)]
    path.write_text("\n".join([header, *rows]) + "\n")


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds of `work`."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def megabytes() -> float:
    """The largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read_rows(path: Path, rounds: int) -> list[str]:
    """Rows of the table: reading the file at `path`."""
    from dlexp.data.sources.table_file import table_file
    from dlexp.data.tables.files.table_form import TableForm
    from dlexp.data.tables.files.text_file import TextFile
    from dlexp.data.tables.spelling import MISSING, Marks

    def cells() -> None:
        file = TextFile(path, TableForm(), Marks(MISSING))
        columns, *_ = file.read(file.header)
        for column in columns.values():
            column.cells()

    def table() -> None:
        table_file(path=str(path), target="y", target_kind="class", missing_values=list(MISSING))

    work: dict[str, Callable[[], object]] = {
        "pandas.read_csv": lambda: pd.read_csv(path),
        "cells": cells,
        "table": table,
    }
    taken: dict[str, list[float]] = {name: [] for name in work}
    grown = {}
    for number in range(rounds):
        for name, one in work.items():
            before = megabytes()
            taken[name].append(seconds(one))
            if not number:
                grown[name] = megabytes() - before
    base = min(taken["pandas.read_csv"])
    return [
        f"| {name} | {min(times):.2f} | {min(times) / base:.1f} | {grown[name]:,.0f} |" for name, times in taken.items()
    ]


def train(path: Path, folder: Path) -> tuple[float, float]:
    """(processor seconds, megabytes) of one epoch of `dlexp train` on the file at `path`."""
    words = ["data=csv", f"data.path={path}", "data.target=y", "trainer.epochs=1", "data.batch_size=8", "--quiet"]
    command = [sys.executable, "-m", "dlexp", "train", *words]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env=dict(os.environ)) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"dlexp train ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Write the files, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=["rows", "columns"], default=["rows", "columns"])
    words = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        if "rows" in words.only:
            path = folder / "rows.csv"
            write_rows(path, words.rows)
            print(f"\n| {words.rows:,} x 3 | processor s | over pandas | memory, MB |\n|---|---|---|---|")
            print("\n".join(read_rows(path, words.rounds)))
        if "columns" in words.only:
            print("\n| 30 x columns | processor s | memory, MB |\n|---|---|---|")
            for count in (10, words.columns):
                path = folder / f"columns{count}.csv"
                write_columns(path, count)
                taken, size = train(path, folder)
                print(f"| {count:,} | {taken:.1f} | {size:,.0f} |")


if __name__ == "__main__":
    main()
