"""Which networks gain from bf16 on this CPU, and which does `trainer.precision=auto` give it to?

    python -m benchmarks.machine.networks [--case resnet18:8:64 ...] [--rounds 5] [--seconds 1] [--threads 1]

A case is MODEL:SIDE:BATCH: forward and backward pass on random images in color, channels_last, one process, fp32 and
bf16 in turn. A gain is the time of fp32 over the time of bf16, each the fastest step of its segment, taken
within a round: the median, the range and n. Beside it stands what the choice rests on. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext
from math import inf

from benchmarks.harness.process_cost import spread
from dlexp.runtime.process import prepare_process

prepare_process()  # before torch loads OpenMP

import torch  # noqa: E402
from torch import nn  # noqa: E402

from dlexp.config.compose import load  # noqa: E402
from dlexp.config.files.catalog import Catalog  # noqa: E402
from dlexp.config.nodes import build  # noqa: E402
from dlexp.networks.arithmetic import counted_arithmetic  # noqa: E402
from dlexp.runtime.precision import choose_precision  # noqa: E402

CASES = (
    *("simple_cnn:8:64", "simple_cnn:16:64", "simple_cnn:32:128", "lenet5:32:64", "block_cnn:8:64", "modern_cnn:8:64"),
    *("diagram_cnn:8:64", "se_cnn:8:64", "alexnet:8:64", "vgg11:8:64", "vgg11:16:64", "vgg11:32:64"),
    *("resnet18:8:64", "resnet18:16:64", "resnet18:32:64", "resnet50:8:64", "resnet50:16:64", "googlenet:8:64"),
    *("densenet121:8:64", "mobilenet_v1:32:32", "mobilenet_v2:8:64", "mobilenet_v2:32:32", "mobilenet_v3_small:32:32"),
    *("efficientnet_b0:32:16", "convnext_tiny:8:64", "convnext_tiny:32:16"),
)
CPU = torch.device("cpu")


def fastest(network: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, kind: str, seconds: float) -> float:
    """Seconds of the fastest step of a segment of at least `seconds`."""
    started, least = time.perf_counter(), inf
    while time.perf_counter() - started < seconds or least == inf:
        begun = time.perf_counter()
        network.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16) if kind == "bf16" else nullcontext():
            loss = nn.functional.cross_entropy(network(inputs), targets)
        loss.backward()
        least = min(least, time.perf_counter() - begun)
    return least


def main() -> None:
    """Print a row a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", default=CASES, metavar="MODEL:SIDE:BATCH")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{torch.cpu.get_capabilities()['cpu_name']}, torch {torch.__version__}, {options.threads} threads\n")
    print("| model | side | batch | M multiply-adds | depthwise | maps < 4x4 | gain of bf16 | n | auto |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case in options.case:
        model, side, batch = case.split(":")
        inputs = torch.randn(int(batch), 3, int(side), int(side)).to(memory_format=torch.channels_last)
        targets = torch.randint(10, (len(inputs),))
        facts = {"input_shape": tuple(inputs.shape[1:]), "num_outputs": 10}
        network: nn.Module = build(load([f"model={model}"], Catalog()).model, facts, ())
        network = network.to(memory_format=torch.channels_last)
        with torch.no_grad(), counted_arithmetic(network.eval()) as work:
            network(inputs[:2])
        network.train()
        gains = []
        for _ in range(options.rounds + 1):
            times = [fastest(network, inputs, targets, kind, options.seconds) for kind in ("fp32", "bf16")]
            gains.append(times[0] / times[1])
        shares = f"{work.share(work.depthwise):.3f} | {work.share(work.small):.2f}"
        chosen = choose_precision("auto", CPU, work).name
        row = f"| {model} | {side} | {batch} | {work.per_sample / 1e6:.1f} | {shares} | {spread(gains[1:])}"
        print(f"{row} | {options.rounds} | {chosen} |", flush=True)


if __name__ == "__main__":
    main()
