"""A process of two that train together, for test_seams_engine: `seams_process.py RANK INIT_METHOD FOLDER`."""

from __future__ import annotations

import json
import math
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import torch
import torch.distributed as dist
from test_seams_engine import RULES, Data, NoCheckpoints, Tokens, new_state, sentences

from dlexp.engine.loop import EpochRecord, FitPlan, StepRecord, fit
from dlexp.engine.parallel import RankShare
from dlexp.engine.recovery import NonfinitePolicy, Recovery, RecoveryHooks
from dlexp.engine.state import TrainState
from dlexp.engine.step import train_step
from dlexp.errors import Interrupted
from dlexp.runtime.distributed import ALONE, ProcessGroup, TorchProcesses
from dlexp.runtime.signals import NeverStop
from dlexp.tasks.base import Networks
from dlexp.types import Batch, LossOutput

CLOCK = ("seconds", "samples_per_s")
BATCHES = [sentences(0, [1, 2, 6, 6]), sentences(4, [3, 1, 6, 2]), sentences(8, [2, 5, 4])]


def averaged(state: TrainState) -> TrainState:
    """Gradients become the mean over the processes within `backward()`, as torch's `replicate` and FSDP do it."""
    for parameter in state.networks.parameters():

        def reduce(own: torch.Tensor) -> torch.Tensor:
            total = own.clone()
            dist.all_reduce(total)
            return total / dist.get_world_size()

        parameter.register_hook(reduce)
    return state


class Sick(Tokens):
    """The loss of the samples with these numbers is NaN."""

    def __init__(self, rows: Sequence[int]) -> None:
        self.rows = rows

    def loss(self, phase: str, networks: Networks, batch: Batch) -> LossOutput:
        """NaN in one process alone."""
        output = super().loss(phase, networks, batch)
        is_sick = bool(torch.isin(batch.indices, torch.tensor(self.rows)).any())
        return replace(output, value=output.value * (math.nan if is_sick else 1.0))


class Counted(NoCheckpoints):
    saves = 0

    def save(self, state: Any, best: Any = None) -> None:
        """Count."""
        self.saves += 1


class Stop(NeverStop):
    """What a scheduler sends to one process alone."""


def weights(state: TrainState) -> list[float]:
    return torch.cat([p.detach().flatten() for p in state.networks.parameters()]).tolist()


def results(group: ProcessGroup) -> dict[str, Any]:
    """A training of two epochs, a clipped update, a skipped one, and a stop."""
    whole = group.size == 1
    rules = replace(RULES, group=group)
    new = new_state if whole else lambda: averaged(new_state())
    data = RankShare(Data(BATCHES), group)
    rows: list[dict[str, float]] = []

    def observe(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, EpochRecord):
            rows.append({name: value for name, value in record.values.items() if name not in CLOCK})

    state, checkpoints = new(), Counted()
    val = [sentences(20, [1, 6]), sentences(22, [4, 4]), sentences(24, [2, 2, 6])][group.rank :: group.size]
    fit(FitPlan(Tokens(), data, val, rules, 2, 2, "val/loss", observers=[observe]), state, checkpoints, NeverStop())
    found: dict[str, Any] = {"rank": group.rank, "weights": weights(state), "rows": rows, "saves": checkpoints.saves}
    found["taken"] = [row for batch in data.epoch(0) for row in batch.indices.tolist()]
    state = new()
    train_step(Tokens(), state, list(data.epoch(0))[:1], replace(rules, clip_norm=0.01))
    found["clipped"] = weights(state)
    state = new()
    recovery = Recovery(Sick([1]), rules, state, RecoveryHooks(NonfinitePolicy("skip")))
    for batch in list(data.epoch(0))[:2]:
        recovery.update([batch])
    found |= {"skipped": state.nonfinite.skipped, "weights_after_skip": weights(state)}
    stop = Stop()

    def ask(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, StepRecord) and record.step == 2:
            stop.request(signal.SIGTERM)

    plan = FitPlan(Tokens(), data, val, rules, 2, 1, "val/loss", observers=[ask])
    try:
        fit(plan, new(), NoCheckpoints(), stop)
    except Interrupted as error:
        found["stopped"] = str(error)
    return found


def main() -> None:
    rank, where, folder = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    if rank == 0:
        (folder / "whole.json").write_text(json.dumps(results(ALONE)))
    dist.init_process_group("gloo", init_method=where, rank=rank, world_size=2)
    group = TorchProcesses(torch.device("cpu"))
    assert group.gather(rank) == [0, 1]
    assert (group.sum(rank + 1), group.sum(0.5), group.broadcast(f"of {rank}")) == (3, 1.0, "of 0")
    assert (group.any(rank == 1), group.any(False)) == (True, False)
    assert group.sum(torch.tensor([rank, 1])).tolist() == [1, 2]
    (folder / f"{rank}.json").write_text(json.dumps(results(group)))
    group.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
