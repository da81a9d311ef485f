"""Does streaming cost anything? dlexp reading a folder of JPEG files against a bare DataLoader with torchvision v2.

    python -m benchmarks.data.streamed [--rounds 5] [--count 5000] [--size 64] [--workers 2] [--threads 2]
        [--folder DIR]

Two limits, each written without dlexp below: `v2` is a DataLoader whose workers decode with torchvision.io and change
each image with torchvision.transforms.v2 (crop with padding, flip); `by hand` cuts and flips with slices instead, which
is faster. Both normalize whole batches in the main process, keep their workers and read ahead. dlexp runs what
`dlexp train data=image_folder data.in_memory=false` runs: its own batches, and for the rows of training its own update
(simple_cnn, AdamW, the precision and memory format that it chooses; the limits choose the same).

Each system is a process of its own that is told when to run an epoch, so that epochs are run in turn and a machine
that is busy for a while is busy for all; the first epoch is not counted. A ratio is taken within a round. Prints the
median of the ratios, their range and n, as Markdown. With --folder the images are kept there and used again.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

BATCH = 64
PAD = 4
LEARNING_RATE = 1e-3
MEAN, STD = (0.2, 0.2, 0.2), (0.2, 0.2, 0.2)
SYSTEMS = ("dlexp", "v2", "by hand")
ROWS = ("data", "train")


def bare_loader(folder: Path, workers: int, by_hand: bool) -> Any:
    """A DataLoader of (uint8 images (B, 3, S, S), labels (B,)), changed at random."""
    import torch
    from torch.utils.data import DataLoader, Dataset
    from torchvision.io import ImageReadMode, decode_jpeg, read_file
    from torchvision.transforms import v2

    class Images(Dataset):  # type: ignore[type-arg]
        def __init__(self) -> None:
            classes = sorted(path for path in folder.iterdir() if path.is_dir())
            self.files = [(str(f), n) for n, path in enumerate(classes) for f in sorted(path.iterdir())]
            self.change = v2.Compose([v2.RandomCrop(self._read(0).shape[-1], padding=PAD), v2.RandomHorizontalFlip()])

        def _read(self, number: int) -> torch.Tensor:
            return decode_jpeg(read_file(self.files[number][0]), ImageReadMode.RGB)

        def __len__(self) -> int:
            return len(self.files)

        def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
            image, label = self._read(number), self.files[number][1]
            if not by_hand:
                return self.change(image), label
            size = image.shape[-1]
            top, left, mirror = torch.randint(0, 2 * PAD + 1, (3,)).tolist()
            padded = torch.zeros((size + 2 * PAD, size + 2 * PAD, 3), dtype=torch.uint8).permute(2, 0, 1)
            padded[:, PAD:-PAD, PAD:-PAD] = image
            found = padded[:, top : top + size, left : left + size]
            return (found.flip(2) if mirror % 2 else found), label

    return DataLoader(
        Images(), BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
    )  # fmt: skip


def bare(folder: Path, workers: int, row: str, by_hand: bool) -> Callable[[], int]:
    """An epoch of a limit; returns how many samples it had."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    loader = bare_loader(folder, workers, by_hand)
    size = loader.dataset[0][0].shape[-1]
    scale = (1 / (255 * torch.tensor(STD))).view(3, 1, 1)
    shift = -(torch.tensor(MEAN) / torch.tensor(STD)).view(3, 1, 1)

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for images, labels in loader:
            yield torch.addcmul(shift, images.float(), scale), labels

    if row == "data":
        return lambda: sum(len(labels) for _, labels in batches())
    layers: list[nn.Module] = []
    for fan_in, fan_out in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=False), nn.BatchNorm2d(fan_out), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    last = 128 * (size // 8) ** 2
    head = [nn.Flatten(), nn.Linear(last, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 10)]
    network = nn.Sequential(*layers, *head).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, fused=True)
    is_bf16 = bool(torch.cpu.get_capabilities().get("amx_bf16", False))

    def epoch() -> int:
        count = 0
        for images, labels in batches():
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
                loss = F.cross_entropy(network(images.contiguous(memory_format=torch.channels_last)), labels)
            loss.backward()
            optimizer.step()
            count += len(labels)
        return count

    return epoch


def own(folder: Path, workers: int, row: str) -> Callable[[], int]:
    """An epoch of dlexp; returns how many samples it had."""
    from itertools import count

    from dlexp.assemble.experiment import assemble
    from dlexp.assemble.training import prepare_training
    from dlexp.config.compose import load
    from dlexp.config.files.catalog import Catalog
    from dlexp.engine.step import train_step

    words = (
        *("data=image_folder", f"data.path={folder}", "data.in_memory=false", f"data.workers={workers}"),
        *("model=simple_cnn", "optim=adamw", f"optim.lr={LEARNING_RATE}", "scheduler=constant", "trainer.device=cpu"),
        *(f"data.batch_size={BATCH}", f"data.image_size={_size(folder)}", f"data.pad={PAD}", "data.augment=crop_flip"),
        *("data.val_fraction=0.01", "data.test_fraction=0.01"),
    )
    experiment = assemble(load(words, Catalog()))
    setup, numbers = prepare_training(experiment), count()
    setup.state.networks.train()

    def epoch() -> int:
        seen = 0
        for batch in setup.batches.epoch(next(numbers)):
            if row == "train":
                train_step(experiment.task, setup.state, [batch], setup.rules)
            seen += len(batch)
        return seen

    return epoch


def _size(folder: Path) -> int:
    from PIL import Image

    with Image.open(next(folder.glob("*/*.jpg"))) as image:
        return int(image.size[0])


def serve(system: str, row: str, folder: Path, workers: int, threads: int) -> None:
    """Run an epoch for each line that comes in and answer with its samples per second."""
    import torch

    torch.set_num_threads(threads)
    epoch = own(folder, workers, row) if system == "dlexp" else bare(folder, workers, row, system == "by hand")
    epoch()
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        print(epoch() / (time.perf_counter() - started), flush=True)


def measured(row: str, options: argparse.Namespace) -> dict[str, list[float]]:
    """Samples per second of each system in each round."""
    environment = {**os.environ, "GOMP_SPINCOUNT": "1000"}
    settings = [str(options.folder), "--workers", str(options.workers), "--threads", str(options.threads)]
    children = {}
    for system in SYSTEMS:
        line = [sys.executable, __file__, "--serve", system, "--row", row, "--folder", *settings]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        children[system] = subprocess.Popen(line, env=environment, **pipes)  # type: ignore[call-overload]
        if children[system].stdout.readline() != "ready\n":
            raise RuntimeError(f"{system} did not start")
    found: dict[str, list[float]] = {system: [] for system in SYSTEMS}
    for number in range(options.rounds):
        for system in SYSTEMS if number % 2 else SYSTEMS[::-1]:
            children[system].stdin.write("go\n")
            children[system].stdin.flush()
            found[system].append(float(children[system].stdout.readline()))
    for child in children.values():
        child.stdin.close()
        child.wait()
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--row", choices=ROWS)
    parser.add_argument("--serve", choices=SYSTEMS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.row, options.folder, options.workers, options.threads)
        return
    with tempfile.TemporaryDirectory() as temporary:
        options.folder = options.folder or Path(temporary) / "images"
        if not options.folder.exists():
            from image_files import write_images

            write_images(options.folder, options.count, options.size)
        print("| dlexp / limit | ratio (range) | samples/s, medians | n |")
        print("|---|---|---|---|")
        for row in [options.row] if options.row else ROWS:
            found = measured(row, options)
            for limit in SYSTEMS[1:]:
                ratios = [mine / theirs for mine, theirs in zip(found["dlexp"], found[limit], strict=True)]
                mine, theirs = statistics.median(found["dlexp"]), statistics.median(found[limit])
                name = f"{row}, {limit}, {options.size} px, {options.workers} workers"
                spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
                print(f"| {name} | {spread} | {mine:,.0f} / {theirs:,.0f} | {len(ratios)} |", flush=True)


if __name__ == "__main__":
    main()
