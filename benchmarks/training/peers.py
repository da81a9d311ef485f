"""Other people's loops over the same network, data and number format; a row for whoever has them installed.

fast  the same batches in memory, no logger, no progress bar, no checkpoints; else what they do when nothing is said
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from benchmarks.harness.turns import Missing, Turns
from benchmarks.training.limits.digits import digits_data, perceptron
from benchmarks.training.limits.images import image_work
from benchmarks.training.limits.loop import Work, keep_memory


class Batches(IterableDataset[tuple[Tensor, Tensor]]):
    """The limit's batches as something that a DataLoader reads."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self._work.batches()

    def __len__(self) -> int:
        return self._work.num_batches


def accelerate(turns: Turns, row: str, fast: bool, dtype: str) -> None:
    """Hugging Face accelerate: its Accelerator around a bare loop. Raises Missing."""
    _need("accelerate")
    package = importlib.import_module("accelerate")

    keep_memory()
    work, loaders = _work(row, dtype, fast)
    accelerator = package.Accelerator(cpu=True, mixed_precision="bf16" if dtype == "bf16" else "no")
    optimizer: Any = torch.optim.AdamW(work.network.parameters(), lr=2e-3, fused=fast)
    network, optimizer, train, val = accelerator.prepare(work.network, optimizer, *loaders)
    turns.know(dtype=dtype)
    while True:
        network.train()
        samples = 0
        for number, (x, y) in enumerate(train, start=1):
            loss = F.cross_entropy(network(x), y)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            samples += len(y)
            turns.step(number, work.num_batches, samples)
        network.eval()
        with torch.inference_mode():
            for x, y in val:
                logits = network(x)
                F.cross_entropy(logits, y).item(), (logits.argmax(dim=1) == y).sum().item()
        turns.epoch(samples)


def lightning(turns: Turns, row: str, fast: bool, dtype: str) -> None:
    """Lightning's Trainer. Raises Missing."""
    _need("lightning")
    package: Any = importlib.import_module("lightning")

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    keep_memory()
    work, (train, val) = _work(row, dtype, fast)

    class Module(package.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = work.network

        def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
            loss = F.cross_entropy(self.network(batch[0]), batch[1])
            if not fast:
                self.log("train_loss", loss, prog_bar=True)
            return loss

        def validation_step(self, batch: tuple[Tensor, Tensor], number: int) -> None:
            logits = self.network(batch[0])
            self.log("val_loss", F.cross_entropy(logits, batch[1]))
            self.log("val_accuracy", (logits.argmax(dim=1) == batch[1]).float().mean())

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=2e-3, fused=fast)

    class Clock(package.Callback):  # type: ignore[misc]
        samples = 0

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            self.samples = (self.samples if batch_idx else 0) + len(batch[1])
            turns.step(batch_idx + 1, work.num_batches, self.samples)

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            turns.epoch(self.samples)  # Lightning validates before it

    turns.know(dtype=dtype)
    bare = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False} if fast else {}
    trainer = package.Trainer(
        accelerator="cpu",
        max_epochs=-1,
        precision="bf16-mixed" if dtype == "bf16" else "32-true",
        callbacks=[Clock()],
        num_sanity_val_steps=0,
        enable_model_summary=False,
        default_root_dir=tempfile.gettempdir(),
        **bare,
    )
    trainer.fit(Module(), train, val)


def _work(row: str, dtype: str, fast: bool) -> tuple[Work, tuple[Any, Any]]:
    """The limit's work, and loaders of its training and validation batches."""
    from benchmarks.training.train_speed import SIZES

    if row == "a":
        x, y, val = digits_data()

        def batches() -> Iterator[tuple[Tensor, Tensor]]:
            order = torch.randperm(len(y))
            return zip(x[order].split(64), y[order].split(64), strict=True)

        work = Work(perceptron(False), batches, -(-len(y) // 64), val)
        if not fast:
            train = DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True)
            return work, (train, DataLoader(TensorDataset(*val), batch_size=256))
    else:
        work = image_work({"b": "cnn", "c": "resnet18"}[row], dtype, "cpu", SIZES[row], 128)
    return work, (DataLoader(Batches(work), batch_size=None), DataLoader(TensorDataset(*work.val), batch_size=256))


def _need(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise Missing(f"{package} is not installed")
