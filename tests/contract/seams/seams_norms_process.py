"""A process of two that train real configurations: `seams_norms_process.py RANK INIT_METHOD FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

import torch
import torch.distributed as dist
from seams_process import averaged

from dlexp.assemble.experiment import assemble
from dlexp.assemble.training import prepare_training
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.engine.loop import EpochRecord, StepRecord, fit
from dlexp.errors import ConfigError
from dlexp.runtime.distributed import ALONE, ProcessGroup, TorchProcesses
from dlexp.runtime.signals import NeverStop

# 90 training samples: eight batches of 11 and one of 2, of which the processes take 6 and 5, and 1 and 1.
USUAL = (
    "trainer.device=cpu",
    "data=iris",
    "model=mlp_batch_norm",
    "data.batch_size=11",
    "trainer.epochs=2",
    "optim=sgd",
)
RUNS = {
    "ema": (
        *("trainer.accumulate=2", "trainer.clip_norm=0.2", "data.eval_batch_size=7", "regularization.ema.decay=0.8"),
        *("regularization.l2=0.01", "regularization.max_norm=2", "regularization.gradient_noise=0.01"),
    ),
    "swa": ("trainer.monitor=val/roc_auc", "data.eval_batch_size=64", "regularization.swa.start_epoch=1"),
    "mixed": ("trainer.gradient_norm=0.5", "regularization.mixup=0.4", "data.eval_batch_size=16"),
    "images": (
        *("data=digits", "model=simple_cnn", "data.batch_size=96", "data.augment=crop", "trainer.epochs=1"),
        *("trainer.accumulate=3", "model.dropout=0", "data.eval_batch_size=50"),
    ),
}
CLOCK = ("seconds", "samples_per_s")


class Kept:
    """The last state, its tensors as numbers."""

    def __init__(self) -> None:
        self.state: dict[str, list[float]] = {}

    def save(self, state: Any, best: Any = None) -> None:
        """Keep networks and averages."""
        for part in ("networks", "eval_weights"):
            for name, value in state.get(part, {}).items():
                self.state[f"{part}/{name}"] = value.double().flatten().tolist()


def trained(words: tuple[str, ...], group: ProcessGroup) -> dict[str, Any]:
    """Rows and weights of a run, and the samples of its first epoch, batch by batch."""
    setup = prepare_training(assemble(load([*USUAL, *words], Catalog(()))), group)
    state = setup.state if group.size == 1 else averaged(setup.state)
    rows: list[dict[str, float]] = []

    def observe(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, EpochRecord):
            rows.append({name: value for name, value in record.values.items() if name not in CLOCK})

    kept = Kept()
    taken = [batch.indices.tolist() for batch in setup.batches.epoch(0)]
    fit(setup.plan([observe]), state, kept, NeverStop())
    buffers = {name: value.double().flatten().tolist() for name, value in state.networks.named_buffers()}
    return {"rows": rows, "state": kept.state, "buffers": buffers, "taken": taken}


def refusals(group: ProcessGroup) -> list[tuple[str, str]]:
    """(place, code) of what several processes cannot train."""
    found = []
    for words in (("data.batch_size=100",), ("data=digits", "model=simple_cnn", "model.norm=instance")):
        experiment = assemble(load([*USUAL, *words], Catalog(())))
        if experiment.config.batch_size == 100:
            split = experiment.bundle.splits["train"].select(torch.arange(1))
            object.__setattr__(experiment.bundle, "splits", {**experiment.bundle.splits, "train": split})
        for module in experiment.networks.modules():
            if isinstance(module, torch.nn.InstanceNorm2d):
                module.track_running_stats = True
        try:
            prepare_training(experiment, group)
        except ConfigError as error:
            found.append((error.problems[0].where, str(error.problems[0].code)))
    return found


def main() -> None:
    rank, where, folder = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    torch.set_num_threads(1)
    if rank == 0:
        (folder / "whole.json").write_text(json.dumps({name: trained(words, ALONE) for name, words in RUNS.items()}))
    dist.init_process_group("gloo", init_method=where, rank=rank, world_size=2)
    group = TorchProcesses(torch.device("cpu"))
    found: dict[str, Any] = {name: trained(words, group) for name, words in RUNS.items()}
    found["refused"] = refusals(group)
    (folder / f"{rank}.json").write_text(json.dumps(found))
    group.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
