"""What kept keys and values save: generated tokens, with them and by reading everything again.

    python -m benchmarks.machine.generation [--tokens 256] [--rounds 3]

Both sides in turn in one process, one thread, `model=gpt` with its default sizes, greedily, processor seconds.
"""

from __future__ import annotations

import argparse
from statistics import median
from time import process_time

import torch
from torch import Tensor

from dlexp.models.transformer.gpt import Gpt, gpt


def with_cache(network: Gpt, prompt: Tensor, count: int) -> Tensor:
    """(1, count) tokens behind the prompt, one step each."""
    scores, state = network.start(prompt, torch.tensor([prompt.shape[1]]))
    found = [scores.argmax(-1)]
    while len(found) < count:
        scores, state = network.step(found[-1], state)
        found.append(scores.argmax(-1))
    return torch.stack(found, 1)


def without_cache(network: Gpt, prompt: Tensor, count: int) -> Tensor:
    """(1, count) tokens behind the prompt, each by reading all before it."""
    text = prompt
    for _ in range(count):
        text = torch.cat([text, network(text)[:, -1].argmax(-1, keepdim=True)], 1)
    return text[:, prompt.shape[1] :]


def main() -> None:
    """Print the ratio of each round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = gpt(vocabulary_size=100, num_outputs=100, max_length=options.tokens + 8).eval()
    prompt = torch.randint(0, 100, (1, 8))
    ratios = []
    with torch.inference_mode():
        for _ in range(options.rounds):
            times = []
            for way in (without_cache, with_cache):
                start = process_time()
                way(network, prompt, options.tokens)
                times.append(process_time() - start)
            ratios.append(times[0] / times[1])
    print(
        f"{options.tokens} tokens: {median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f}) times, n = {len(ratios)}"
    )


if __name__ == "__main__":
    main()
