"""How long until the first optimizer step? `dlexp train` against a bare script, whole processes in turn.

    python -m benchmarks.commands.first_step [--rounds 9] [--model mlp simple_cnn]

The script imports torch, reads the same digits, builds the same network and a fused AdamW, and makes one update; it
knows neither configuration nor run directory. `dlexp train` does all that it does, with every artifact, and is ended
at its first step record; both end by os._exit. One thread each. A ratio is taken within a round. Prints the
medians of the ratios of processor time and of wall time, their ranges, and n, as Markdown.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.harness.process_cost import cost, spread

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = {
    "mlp": "nn.Sequential(nn.Flatten(), nn.Linear(64, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Dropout(0.2),"
    " nn.Linear(512, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, 10))",
    "simple_cnn": "nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),"
    " nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),"
    " nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),"
    " nn.Linear(128, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 10))",
}
BARE = """
import gzip
import os
from importlib.util import find_spec
from pathlib import Path
import numpy as np
import torch
from torch import nn
folder = Path(find_spec("sklearn").submodule_search_locations[0]) / "datasets" / "data"
table = np.loadtxt(gzip.open(folder / "digits.csv.gz"), delimiter=",")
images = torch.from_numpy(table[:, :-1].reshape(-1, 1, 8, 8)).float()
labels = torch.from_numpy(table[:, -1]).long()
torch.manual_seed(0)
network = {network}
optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, fused=True)
rows = torch.randperm(len(labels))[:64]
nn.functional.cross_entropy(network((images[rows] - 4.9) / 6), labels[rows]).backward()
optimizer.step()
os._exit(0)
"""
# The command as it is, but its display ends the process at the first step record. A finder waits for the display's
# import, so that nothing is imported earlier than a run does it.
DLEXP = """
import os, sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec

class Ends(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "dlexp.cli.views.training.display":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            module.TrainingLines.observe = lambda self, record: os._exit(0)
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Ends())
sys.argv = ["dlexp", "train", "model={model}", "trainer.precision=fp32"]
from dlexp.cli.app import main
main()
"""


def main() -> None:
    """Print a row a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--model", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    options = parser.parse_args()
    print("| model | bare, processor s | ratio of processor time | ratio of wall time | n |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "DLEXP_RUNS_DIR": f"{folder}/runs", "OMP_NUM_THREADS": "1"}
        for model in options.model:
            codes = DLEXP.format(model=model), BARE.format(network=NETWORKS[model])
            lines = [[sys.executable, "-c", code] for code in codes]
            rounds = [[cost(line, env, folder) for line in lines] for _ in range(options.rounds + 1)]
            pairs = rounds[1:]  # the first warms the page cache
            cpu, wall = [one.processor / other.processor for one, other in pairs], [a.wall / b.wall for a, b in pairs]
            bare = statistics.median(other.processor for _, other in pairs)
            print(f"| {model} | {bare:.2f} | {spread(cpu)} | {spread(wall)} | {options.rounds} |", flush=True)


if __name__ == "__main__":
    main()
