"""Size, arithmetic, memory and time of a network.

Symbols: B samples of a batch.
"""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter_ns
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dlexp.assemble.experiment import Experiment
from dlexp.compression.magnitude import prunable_weights, sparsity_of
from dlexp.networks.multiply_adds import counted_products
from dlexp.tasks.base import forward
from dlexp.types import Batch
from dlexp.workflows.compress.steps import samples_of

Call = Callable[[], object]
_WARM = 5  # calls before the timed ones
LARGE = 64  # samples of the larger batch that is timed


def network_call(experiment: Experiment, batch: Batch) -> Call:
    """A forward pass of a batch: of the network, or of all of them as the task predicts."""
    networks, task = experiment.networks, experiment.task
    if list(networks) == ["model"]:
        network = networks["model"]
        return lambda: forward(network, batch.inputs)
    return lambda: task.predict(dict(networks.items()), batch)


def on_cpu(experiment: Experiment) -> Experiment:
    """The experiment with its networks on the CPU, where times are measured."""
    if experiment.device.type == "cpu":
        return experiment
    return replace(experiment, networks=copy.deepcopy(experiment.networks).cpu(), device=torch.device("cpu"))


def size_facts(experiment: Experiment) -> dict[str, Any]:
    """Parameters, sparsity and multiply-adds of one sample, and the peak memory of its forward pass."""
    networks = experiment.networks.eval()
    weights, call = prunable_weights(networks.values()), network_call(experiment, samples_of(experiment, 1))
    with torch.no_grad(), counted_products() as products:
        call()
    return {
        "parameters": sum(p.numel() for p in networks.parameters()),
        "nonzero_parameters": sum(int((p != 0).sum()) for p in networks.parameters()),
        "sparsity": round(sparsity_of(weights), 6),
        "multiply_adds": products.multiply_adds,
        "peak_bytes": peak_bytes(networks, call),
    }


def peak_bytes(networks: nn.Module, call: Call) -> int:
    """Weights and buffers, and the most that tensors of a call occupy at a time, in bytes.

    What an operation needs within itself is not seen.
    """
    held = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in _tensors(networks)}
    gc.collect()
    with torch.no_grad(), _Live(set(held)) as live:
        call()
    return int(sum(held.values()) + live.most)


class _Live(TorchDispatchMode):
    """Counts the bytes of tensors that operations make, as long as these are held."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._known, self.most = known, 0
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self._live = {key: pair for key, pair in self._live.items() if not pair[0].expired()}
        for tensor in tree_leaves(found):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                reference = StorageWeakRef(storage)
                if storage.data_ptr() not in self._known:
                    self._live.setdefault(reference.cdata, (reference, storage.nbytes()))
        self.most = max(self.most, sum(size for _, size in self._live.values()))
        return found


def latencies(calls: Mapping[str, Call], repeats: int) -> dict[str, dict[str, float]]:
    """Name -> {p50_ms, p95_ms}, of calls with one thread.

    The calls take turns, so that a busy machine slows all of them alike.
    """
    if not repeats:
        return {}
    times = {name: np.zeros(repeats) for name in calls}
    with one_thread(), torch.inference_mode():
        for _ in range(min(_WARM, repeats)):
            for call in calls.values():
                call()
        for turn in range(repeats):
            for name, call in calls.items():
                begun = perf_counter_ns()
                call()
                times[name][turn] = (perf_counter_ns() - begun) / 1e6
    return {
        name: {f"p{share}_ms": round(float(np.percentile(found, share)), 4) for share in (50, 95)}
        for name, found in times.items()
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch within the body."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def instruction_set() -> str:
    """The vector instructions that torch uses on this CPU, such as AVX2."""
    return str(torch.backends.cpu.get_cpu_capability())


def _tensors(networks: nn.Module) -> Iterator[Tensor]:
    yield from networks.parameters()
    yield from networks.buffers()
