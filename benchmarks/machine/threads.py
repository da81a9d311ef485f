"""When do two threads pay? Training steps of an MLP of growing width with one thread and with all, in turn.

    python -m benchmarks.machine.threads [--widths 64 128 ...] [--batches 64 256] [--rounds 9] [--seconds 0.3]

A bare loop: 64 inputs, two hidden layers of `width`, ten outputs, fused AdamW, fp32. One process; each round is a
segment with one thread and one with all, as long as `--seconds` each. Printed are, over the rounds, the median of the
ratios (samples/s with all threads over one) with its range, and the ratio of the fastest segments, which a busy
neighbor disturbs least. `work` is parameters x batch: the multiplications of a forward pass. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time

from benchmarks.harness.process_cost import spread
from dlexp.runtime.process import available_cores, prepare_process

prepare_process()  # before torch loads OpenMP

import torch  # noqa: E402
from torch import nn  # noqa: E402


def rate(network: nn.Module, optimizer: torch.optim.Optimizer, batch: int, seconds: float) -> float:
    """Updates a second over a segment of at least `seconds`."""
    inputs, targets = torch.randn(batch, 64), torch.randint(10, (batch,))
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds or done < 3:
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(network(inputs), targets).backward()
        optimizer.step()
        done += 1
    return done / (time.perf_counter() - started)


def compare(width: int, batch: int, threads: int, rounds: int, seconds: float) -> str:
    """A row: all threads over one."""
    network = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    parameters = sum(p.numel() for p in network.parameters())
    rates: dict[int, list[float]] = {1: [], threads: []}
    for number in range(rounds + 1):
        for count in (1, threads):
            torch.set_num_threads(count)
            found = rate(network, optimizer, batch, seconds)
            if number:  # the first round warms up
                rates[count].append(found)
    ratios = [many / one for one, many in zip(rates[1], rates[threads], strict=True)]
    best = max(rates[threads]) / max(rates[1])
    return (
        f"| {width} | {batch} | {parameters:,} | {parameters * batch:.2g} | {spread(ratios)} | {best:.2f} | {rounds} |"
    )


def main() -> None:
    """Print a row a width and batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 128, 256, 512, 1024, 2048])
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.3)
    options = parser.parse_args()
    threads = available_cores()[0]
    print(f"{threads} threads over one, torch {torch.__version__}, {torch.cpu.get_capabilities()['cpu_name']}\n")
    print("| width | batch | parameters | work | ratio of rates, median (range) | of the fastest | n |")
    print("|---|---|---|---|---|---|---|")
    for batch in options.batches:
        for width in options.widths:
            print(compare(width, batch, threads, options.rounds, options.seconds), flush=True)


if __name__ == "__main__":
    main()
