"""What kept keys and values save: generated tokens, with them and by reading everything again.

    python -m benchmarks.machine.generation [--tokens 256] [--texts 1 8] [--rounds 3]

Both sides in turn in one process, one thread, `model=gpt` with its default sizes, greedily, processor seconds.
`generate` is what `dlexp predict` calls; the other side is a bare loop around the network.

Symbols: B texts, T tokens.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from time import process_time

import torch
from torch import Tensor

from dlexp.findings import counted
from dlexp.models.transformer.gpt import Gpt, gpt
from dlexp.tasks.decoding.generation import generate
from dlexp.tasks.decoding.options import GenerationOptions
from dlexp.types import Sequences


def with_cache(network: Gpt, prompts: Tensor, count: int) -> Tensor:
    """(B, count) tokens behind the prompts (B, T), one step each, as `dlexp predict` makes them."""
    lengths = torch.full((len(prompts),), prompts.shape[1])
    options = GenerationOptions(max_length=count)
    return generate(network, Sequences(prompts, lengths), options, end=None, max_length=count).tokens.values


def without_cache(network: Gpt, prompts: Tensor, count: int) -> Tensor:
    """(B, count) tokens behind the prompts (B, T), each by reading all before it."""
    text = prompts
    for _ in range(count):
        text = torch.cat([text, network(text)[:, -1].argmax(-1, keepdim=True)], 1)
    return text[:, prompts.shape[1] :]


def main() -> None:
    """Print the ratio of each round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--texts", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = gpt(vocabulary_size=100, num_outputs=100, max_length=options.tokens + 8).eval()
    for texts in options.texts:
        prompts = torch.randint(0, 100, (texts, 8))
        with torch.inference_mode():
            times = [[_seconds(way, network, prompts, options.tokens) for way in WAYS] for _ in range(options.rounds)]
        ratios = [without / kept for without, kept in times]
        spread = f"{median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f}) times, n = {len(ratios)}"
        fastest = " and ".join(f"{min(column):.2f}" for column in zip(*times, strict=True))
        print(f"{counted(texts, 'text')}, {options.tokens} tokens: {spread}; fastest {fastest} s", flush=True)


WAYS = (without_cache, with_cache)


def _seconds(way: Callable[[Gpt, Tensor, int], Tensor], network: Gpt, prompts: Tensor, count: int) -> float:
    start = process_time()
    way(network, prompts, count)
    return process_time() - start


if __name__ == "__main__":
    main()
