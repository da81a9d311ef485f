"""What activation checkpointing saves and costs: peak memory and time of updates of resnet18, each in its own process.

    python -m benchmarks.machine.activations [--batch 128] [--rounds 3] [--updates 2]

A process builds the network (3x3 stem, 3x32x32 images, fp32, channels_last, AdamW), notes its resident memory, and
makes the updates; printed are the peak above that note and the seconds of the last update, medians over the rounds with
their ranges, both ways in turn. Linux. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.harness.process_cost import spread

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import json, resource, sys, time
from dlexp.runtime.process import prepare_process
prepare_process()
import torch
from torch import nn
from dlexp.models.resnet import resnet18
from dlexp.networks.activation_checkpointing import recompute_activations
torch.set_num_threads(1)
networks = nn.ModuleDict({"model": resnet18(input_shape=(3, 32, 32), num_outputs=10)})
networks = networks.to(memory_format=torch.channels_last)
if sys.argv[1] == "recomputed":
    recompute_activations(networks)
optimizer = torch.optim.AdamW(networks.parameters(), fused=True)
batch, updates = int(sys.argv[2]), int(sys.argv[3])
inputs = torch.randn(batch, 3, 32, 32).to(memory_format=torch.channels_last)
targets = torch.randint(10, (batch,))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(updates):
    started = time.perf_counter()
    optimizer.zero_grad()
    nn.functional.cross_entropy(networks["model"](inputs), targets).backward()
    optimizer.step()
    seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([(peak - before) / 1024, seconds]))
"""


def measured(how: str, batch: int, updates: int) -> tuple[float, float]:
    """(MiB above the built network, seconds of the last update)."""
    line = [sys.executable, "-c", CODE, how, str(batch), str(updates)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, capture_output=True, text=True, check=True, env=env)
    mib, seconds = json.loads(done.stdout)
    return float(mib), float(seconds)


def main() -> None:
    """Print a row each way, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=2)
    options = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {"kept": [], "recomputed": []}
    for _ in range(options.rounds):
        for how, rows in found.items():
            rows.append(measured(how, options.batch, options.updates))
    print("| activations | MiB above the network | seconds an update | n |\n|---|---|---|---|")
    for how, rows in found.items():
        mib, seconds = ([row[i] for row in rows] for i in (0, 1))
        print(f"| {how} | {spread(mib, 0)} | {spread(seconds, 2)} | {options.rounds} |")
    pairs = list(zip(found["recomputed"], found["kept"], strict=True))
    memory, slower = ([one[i] / other[i] for one, other in pairs] for i in (0, 1))
    print(f"| ratio | {spread(memory, 2)} | {spread(slower, 2)} | {options.rounds} |")


if __name__ == "__main__":
    main()
