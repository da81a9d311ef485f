"""How long does the command line take to answer? Whole processes, each in turn with what it is measured against.

    python -m benchmarks.commands.cli [--rounds 15]

Help, `list`, `runs` over 10, 100 and 1,000 finished runs, and completion are set against `python -c "import typer,
rich"`; a configuration error, and `config`, against a process that composes the same files with bare Hydra. A ratio is
taken within a round; printed are the medians of the ratios of processor time (user and system) and of wall time, their
ranges, and n.
Processor time is what a busy neighbor disturbs least. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.harness.process_cost import cost, spread

ROOT = Path(__file__).resolve().parents[2]
# What the installed script does.
DLEXP = (sys.executable, "-c", "from dlexp.cli.app import main; main()")
LIBRARIES = (sys.executable, "-c", "import typer, rich")
HYDRA = (
    sys.executable,
    "-c",
    "from hydra import compose, initialize_config_dir\n"
    f"with initialize_config_dir({str(ROOT / 'conf')!r}, version_base=None):\n"
    "    compose('config', overrides=['model=simple_cnn', 'optim.lr=0.1'])",
)
# What bash sends when TAB is pressed.
TAB = {"_DLEXP_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
CASES: tuple[tuple[str, tuple[str, ...], Mapping[str, str], tuple[str, ...]], ...] = (
    ("dlexp --help", (*DLEXP, "--help"), {}, LIBRARIES),
    ("dlexp train --help", (*DLEXP, "train", "--help"), {}, LIBRARIES),
    ("dlexp list", (*DLEXP, "list"), {}, LIBRARIES),
    ("dlexp runs, 10 runs", (*DLEXP, "runs"), {"DLEXP_RUNS_DIR": "few"}, LIBRARIES),
    ("dlexp runs, 100 runs", (*DLEXP, "runs"), {}, LIBRARIES),
    ("dlexp runs, 1,000 runs", (*DLEXP, "runs"), {"DLEXP_RUNS_DIR": "many"}, LIBRARIES),
    ("TAB after dlexp train mod", DLEXP, {**TAB, "COMP_WORDS": "dlexp train mod"}, LIBRARIES),
    ("TAB after dlexp train optim.", DLEXP, {**TAB, "COMP_WORDS": "dlexp train optim."}, LIBRARIES),
    ("TAB after dlexp evaluate", DLEXP, {**TAB, "COMP_WORDS": "dlexp evaluate "}, LIBRARIES),
    ("dlexp train optim.lrr=0.1", (*DLEXP, "train", "optim.lrr=0.1"), {}, HYDRA),
    ("dlexp train model=resnet81", (*DLEXP, "train", "model=resnet81"), {}, HYDRA),
    ("dlexp config model=simple_cnn", (*DLEXP, "config", "model=simple_cnn"), {}, HYDRA),
)


def surroundings(more: Mapping[str, str], folder: str) -> dict[str, str]:
    """The environment of a process whose runs go into `folder`."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "DLEXP_RUNS_DIR": f"{folder}/runs", **more}


def write_runs(folder: Path, count: int = 100) -> None:
    """One short run of `dlexp train`, and copies of it: what `dlexp runs` and completion read."""
    run = folder / "train" / "20260101-000000-mlp-iris-0000"
    words = ("train", "data=iris", "model=mlp", "trainer.epochs=1", "--quiet", "--run-dir", str(run))
    subprocess.run((*DLEXP, *words), env=surroundings({}, str(folder)), check=True, capture_output=True)
    for number in range(1, count):
        shutil.copytree(run, run.with_name(f"20260101-000000-mlp-iris-{number:04x}"))


def main() -> None:
    """Print a row a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print("| command | against | processor ms | ratio of processor time | ratio of wall time | n |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        write_runs(Path(folder) / "runs")
        write_runs(Path(folder) / "few", 10)
        write_runs(Path(folder) / "many", 1000)
        for name, line, more, base in CASES:
            sides = (line, surroundings(more, folder)), (base, surroundings({}, folder))
            # A mistake ends with code 2, as it should. The first round warms the page cache.
            found = [[cost(*side, folder, check=False) for side in sides] for _ in range(rounds + 1)]
            pairs = found[1:]
            cpu, wall = [one.processor / other.processor for one, other in pairs], [a.wall / b.wall for a, b in pairs]
            against = "import typer, rich" if base is LIBRARIES else "bare Hydra compose"
            spent = statistics.median(one.processor for one, _ in pairs) * 1000
            print(
                f"| `{name}` | {against} | {spent:.0f} | {spread(cpu)} | {spread(wall)} | {rounds} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
