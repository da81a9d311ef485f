"""Which networks of torchvision and timm train on which images?

    python -m benchmarks.training.zoo [--torchvision '*'] [--timm '*'] [--minutes 15] [--threads 1] > FILE

Every classification network of torchvision, and of each module of timm its smallest one by name. The smallest side is
found on torch's meta device, which computes shapes and no numbers: forward in evaluation mode, forward and backward in
training mode, two square images in color, and at that side two in gray. There the network then makes one real step on
the processor, unless it has more than --most million parameters. Networks that were not reached in --minutes are left
out and counted on standard error. Prints Markdown.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from fnmatch import fnmatch
from typing import Any

from dlexp.runtime.process import prepare_process

prepare_process()  # before torch loads OpenMP

import torch  # noqa: E402
from torch import nn  # noqa: E402

from dlexp.errors import message_of  # noqa: E402
from dlexp.models import zoo  # noqa: E402

SIDES = (8, 16, 28, 32, 48, 64, 75, 96, 112, 128, 160, 192, 224, 240, 256, 288, 299, 320, 384, 448, 512, 1024)
SMALL = ("test_", "atto", "femto", "pico", "nano", "zepto", "xxs", "xxt", "tiny", "_t", "mini", "xs", "small", "_s")
CLASSES = 10
Maker = Callable[..., nn.Module]


def smallest_names() -> Iterator[tuple[str, str]]:
    """(module of timm, its network of the smallest name)."""
    import timm

    def rank(name: str) -> tuple[int, int, str]:
        return next((n for n, word in enumerate(SMALL) if word in name), len(SMALL)), len(name), name

    for family in timm.list_modules():
        if names := timm.list_models(module=family):
            yield family, min(names, key=rank)


def problem_at(network: nn.Module, channels: int, side: int) -> str:
    """Why the network does not train on images of `side` pixels, "" where it does."""
    device = next(network.parameters()).device
    images = torch.randn(2, channels, side, side, device=device)
    try:
        with torch.no_grad():
            found = network.eval()(images)
        if tuple(getattr(found, "shape", ())) != (2, CLASSES):
            return f"puts out {tuple(getattr(found, 'shape', ())) or type(found).__name__}"
        loss = nn.functional.cross_entropy(network.train()(images), torch.zeros(2, dtype=torch.long, device=device))
        loss.backward()
    except Exception as error:
        return message_of(error, 120)
    finally:
        network.zero_grad()
    return ""


def built(make: Maker, name: str, channels: int, device: str) -> nn.Module:
    """The network, on the meta device or the processor."""
    with torch.device(device) if device == "meta" else nullcontext():
        return make(input_shape=(channels, 224, 224), num_outputs=CLASSES, name=name)


def looked_at(make: Maker, name: str, most: float) -> dict[str, Any]:
    """Smallest sides, parameters and what stands against them."""
    row: dict[str, Any] = {"name": name, "parameters": 0, "color": None, "gray": None, "note": ""}
    for channels, word in ((3, "color"), (1, "gray")):
        for device in ("meta", "cpu"):  # some look at their numbers while they are built
            try:
                network = built(make, name, channels, device)
            except Exception as error:
                row["note"] = f"{word}: {message_of(error, 120)}"
                continue
            usual: Any = next(m.usual_side for m in network.modules() if hasattr(m, "usual_side"))
            row |= {"parameters": sum(p.numel() for p in network.parameters()), "usual": usual}
            sides = sorted({*SIDES, usual}) if word == "color" else [row["color"] or usual]
            row[word], row["note"] = smallest(network, channels, sides)
            if row[word]:
                break
    if row["gray"] and row["parameters"] <= most * 1e6:
        row["computed"] = True
        if problem := problem_at(built(make, name, 1, "cpu"), 1, row["gray"]):
            row["note"], row["gray"] = f"gray at {row['gray']}, computed: {problem}", None
    return row


def smallest(network: nn.Module, channels: int, sides: list[int]) -> tuple[int | None, str]:
    """(the first side that works, ""), or (None, what the last of them meets)."""
    problem = ""
    for side in sides:
        if not (problem := problem_at(network, channels, side)):
            return side, ""
    return None, problem


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    sides = [str(row[word] or "none") for word in ("color", "gray")]
    computed = "yes" if row.get("computed") else "no"
    cells = [row["name"], f"{row['parameters'] / 1e6:.1f}", *sides, str(row.get("usual", "")), computed, row["note"]]
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--torchvision", default="*", help="names, as a pattern")
    parser.add_argument("--timm", default="*", help="modules, as a pattern")
    parser.add_argument("--skip", type=int, default=0, help="networks that an earlier call has looked at")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--most", type=float, default=12.0, help="million parameters of a network that computes")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    import torchvision.models

    listed = torchvision.models.list_models(module=torchvision.models)
    tasks = [(zoo.torchvision, "torchvision", name) for name in listed if fnmatch(name, given.torchvision)]
    tasks += [(zoo.timm, family, name) for family, name in smallest_names() if fnmatch(family, given.timm)]
    tasks = tasks[given.skip :]
    print("| network | M parameters | smallest side | gray there | usual side | computed | why not |")
    print("|---|---|---|---|---|---|---|")
    begun, left = time.monotonic(), 0
    for make, family, name in tasks:
        if time.monotonic() - begun > 60 * given.minutes:
            left += 1
            continue
        torch.manual_seed(0)
        row = looked_at(make, name, given.most)
        print(line(row if family == "torchvision" else row | {"name": f"{name} ({family})"}), flush=True)
    print(f"{len(tasks) - left} of {len(tasks)} networks, {time.monotonic() - begun:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
