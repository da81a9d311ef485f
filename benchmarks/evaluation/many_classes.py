"""What an evaluation of very many classes costs: processor seconds and the largest resident memory.

    python -m benchmarks.evaluation.many_classes [--samples 20000] [--classes 10000] [--resamples 1000]

Logits are drawn in batches, as a network puts them out; everything after it is as in `dlexp evaluate`: metrics of the
epoch, the report with its intervals, every table and picture, in a folder that is removed. Prints Markdown.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from dlexp.data.bundle import DataBundle, Split
from dlexp.data.preprocess import Affine
from dlexp.engine.evaluate import evaluate
from dlexp.losses.classification import CrossEntropy
from dlexp.metrics.bootstrap import Resampling
from dlexp.runtime.precision import Precision
from dlexp.specs import ClassSpec, DataSpec, TableSpec
from dlexp.tasks.classification import Classification
from dlexp.types import Batch
from dlexp.workflows.evaluate.files import write_figures, write_tables

_BATCH = 256


class Drawn(nn.Module):
    """Logits (B, C) that are right more often than not; the input of a sample is its class."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.rng = torch.Generator().manual_seed(0)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, 1) -> (B, C)."""
        logits = torch.randn(len(inputs), self.classes, generator=self.rng)
        logits[torch.arange(len(inputs)), inputs[:, 0].long()] += 5
        return logits


def batches(targets: torch.Tensor) -> Iterator[Batch]:
    """All samples, some at a time."""
    for rows in torch.arange(len(targets)).split(_BATCH):
        yield Batch(targets[rows, None].float(), targets[rows], rows)


def main() -> None:
    """A line for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("samples", 20_000), ("classes", 10_000), ("resamples", 1000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    torch.set_num_threads(1)
    names = tuple(f"class {n}" for n in range(args.classes))
    spec = DataSpec(TableSpec(1), ClassSpec(names))
    targets = torch.randint(args.classes, (args.samples,), generator=torch.Generator().manual_seed(1))
    split = Split.in_memory(targets[:, None].float(), targets, torch.arange(args.samples))
    whole = Affine(torch.tensor(1.0), torch.tensor(0.0))
    bundle = DataBundle(spec, dict.fromkeys(("train", "val", "test"), split), whole, "", {})
    task, networks = Classification(spec=spec, loss=CrossEntropy()), nn.ModuleDict({"model": Drawn(args.classes)})
    precision = Precision("fp32", "cpu", "")
    print(f"{args.samples:,} samples, {args.classes:,} classes, {args.resamples:,} resamples\n")
    print("| part | processor seconds | largest memory, GB |\n|---|---|---|")
    begun = [time.process_time()]

    def print_cost(part: str) -> None:
        begun.append(time.process_time())
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9  # in KiB on Linux
        print(f"| {part} | {begun[-1] - begun[-2]:.1f} | {memory:.2f} |", flush=True)

    result = evaluate(task, networks, batches(targets), precision, task.report_state())
    print_cost("logits drawn and kept, metrics of an epoch")
    report = task.report(spec, result.state, Resampling(args.resamples))
    print_cost("report with intervals")
    with tempfile.TemporaryDirectory() as folder:
        write_tables(Path(folder), report)
        print_cost("tables")
        write_figures(Path(folder), "test", bundle, report)
        print_cost("pictures")
        sizes = {path.name: path.stat().st_size for path in sorted(Path(folder).iterdir())}
    print(f"| all | {begun[-1] - begun[0]:.1f} | |\n")
    print("\n".join(f"- {name}: {size:,} bytes" for name, size in sizes.items()))
    print("\n".join(f"- {note}" for note in report.notes))


if __name__ == "__main__":
    main()
