"""Number and memory formats of a convolutional training step on this CPU: fp32 and bf16, NCHW and channels_last.

    python -m benchmarks.machine.formats [--model cnn resnet18] [--rounds 5] [--seconds 3] [--threads 1]

A bare loop (autocast, fused AdamW, random images 3x32x32, batch 128): a network 32-64-128 + 512, or torchvision's
resnet18 with a 3x3 stem. One process, the variants in turn; the ratio is taken within a round, to fp32 NCHW. Told are
the median of the ratios, their range, the ratio of the fastest segments, which a busy neighbor disturbs least, and n.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext

from benchmarks.harness.process_cost import spread
from dlexp.runtime.process import prepare_process

prepare_process()  # before torch loads OpenMP

import torch  # noqa: E402
from torch import nn  # noqa: E402

from dlexp.models.convnet import simple_cnn  # noqa: E402
from dlexp.models.resnet import resnet18  # noqa: E402

MODELS = {"cnn": simple_cnn, "resnet18": resnet18}
VARIANTS = [(kind, layout) for kind in ("fp32", "bf16") for layout in ("nchw", "channels_last")]
BATCH = 128


class Loop:
    """A network in one of the formats, and its optimizer."""

    def __init__(self, model: str, kind: str, layout: str) -> None:
        torch.manual_seed(0)
        self._network: nn.Module = MODELS[model](input_shape=(3, 32, 32), num_outputs=10)
        if layout == "channels_last":
            self._network = self._network.to(memory_format=torch.channels_last)
        self._optimizer = torch.optim.AdamW(self._network.parameters(), fused=True)
        self._inputs, self._targets = torch.randn(BATCH, 3, 32, 32), torch.randint(10, (BATCH,))
        self._bf16 = kind == "bf16"

    def rate(self, seconds: float) -> float:
        """Images a second over a segment of at least `seconds`."""
        done, started = 0, time.perf_counter()
        while done == 0 or time.perf_counter() - started < seconds:
            self._optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", dtype=torch.bfloat16) if self._bf16 else nullcontext():
                loss = nn.functional.cross_entropy(self._network(self._inputs), self._targets)
            loss.backward()
            self._optimizer.step()
            done += 1
        return done * BATCH / (time.perf_counter() - started)


def main() -> None:
    """Print a row a model and format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = torch.cpu.get_capabilities()
    kinds = {name: found.get(name, False) for name in ("amx_bf16", "avx512_bf16")}
    print(f"{found['cpu_name']}, {kinds}, torch {torch.__version__}, {options.threads} threads\n")
    print("| model | format | ratio to fp32 nchw, median (range) | of the fastest | n |\n|---|---|---|---|---|")
    for model in options.model:
        loops = {variant: Loop(model, *variant) for variant in VARIANTS}
        rates: dict[tuple[str, str], list[float]] = {variant: [] for variant in VARIANTS}
        for loop in loops.values():
            loop.rate(0.0)
        for _ in range(options.rounds):
            for variant, loop in loops.items():
                rates[variant].append(loop.rate(options.seconds))
        base = rates[VARIANTS[0]]
        for variant in VARIANTS:
            ratios = [one / other for one, other in zip(rates[variant], base, strict=True)]
            best = max(rates[variant]) / max(base)
            print(f"| {model} | {' '.join(variant)} | {spread(ratios)} | {best:.2f} | {options.rounds} |", flush=True)


if __name__ == "__main__":
    main()
