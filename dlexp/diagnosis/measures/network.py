"""A network with certain weights: its parameters, the outputs of its layers, and its losses in different modes.

Symbols: B samples of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from math import sqrt
from types import MappingProxyType

import torch
from torch import Tensor, nn

from dlexp.diagnosis.case import LayerMeasure, ModeLosses, ParameterMeasure
from dlexp.diagnosis.measures.updates import digits_of
from dlexp.engine.evaluate import seeded
from dlexp.networks.inspection.outputs import as_found, innermost, layers_of, recording
from dlexp.networks.inspection.statistics import ActivationStatistics
from dlexp.networks.modes import evaluation_mode, kept_buffers, set_mode
from dlexp.runtime.seed import kept_randomness
from dlexp.tasks.base import Task
from dlexp.types import Batch, Sequences

_TINY = 1e-30


@dataclass(frozen=True)
class Sampled:
    """What a network is looked at with.

    Attributes:
        task: Gives losses and predictions.
        seed: Of the run.
        batches: A few batches of training samples, without changes, of the size that updates have.
        smallest_batch: Samples of the smallest batch of an epoch.
    """

    task: Task
    seed: int
    batches: Sequence[Batch]
    smallest_batch: int


def measure_layers(networks: nn.ModuleDict, sampled: Sampled) -> list[LayerMeasure]:
    """The outputs of the innermost layers over all batches, in evaluation mode, in the order of their first calls."""
    statistics = ActivationStatistics()
    current = list(sampled.batches[:1])

    def receive(name: str, module: nn.Module, output: Tensor) -> None:
        inputs = current[0].inputs
        statistics.add(name, type(module).__name__, output, inputs.mask if isinstance(inputs, Sequences) else None)

    with kept_randomness(), as_found(networks), torch.no_grad(), recording(innermost(layers_of(networks)), receive):
        for batch in seeded(sampled.batches, sampled.seed):
            current[:] = [batch]
            sampled.task.predict(dict(networks.items()), batch)
    return [LayerMeasure(name, float(layer.as_dict()["std"] or 0.0)) for name, layer in statistics.layers.items()]


def measure_parameters(
    networks: nn.ModuleDict,
    sampled: Sampled,
    initial: Mapping[str, Tensor] | None,
    frozen_until: Mapping[str, int | None] = MappingProxyType({}),
) -> list[ParameterMeasure]:
    """Every parameter with the gradient of the mean loss over all batches, in evaluation mode.

    Args:
        networks: In any mode; no gradient is accumulated in them.
        sampled: The batches.
        initial: Name -> tensor before training, None if it is unknown.
        frozen_until: Name of each parameter that the run freezes -> the epoch in which it is trained, None for never.
    """
    parameters = dict(networks.named_parameters())
    learned = {name: p for name, p in parameters.items() if p.requires_grad}
    sums: dict[str, Tensor] = {}
    with kept_randomness(), as_found(networks), _differentiable(networks):
        for batch in seeded(sampled.batches, sampled.seed):
            for name, gradient in _gradients(networks, sampled.task, batch, learned).items():
                sums[name] = gradient if name not in sums else sums[name] + gradient
        set_mode(networks, True)  # some layers, such as auxiliary outputs, are called in training alone
        rest = {name: p for name, p in learned.items() if name not in sums}
        first = seeded(sampled.batches[:1], sampled.seed) if rest else ()
        used = {*sums, *(name for batch in first for name in _gradients(networks, sampled.task, batch, rest))}
    found = []
    for name, parameter in parameters.items():
        mean = sums[name] / len(sampled.batches) if name in sums else None
        values = parameter.detach().float()
        bad = int((~torch.isfinite(values)).sum())
        bad += 0 if mean is None else int((~torch.isfinite(mean)).sum())
        found.append(
            ParameterMeasure(
                name,
                parameter.numel(),
                parameter.dim(),
                not parameter.requires_grad and frozen_until.get(name) is None,
                None if mean is None else _size(mean),
                _size(values),
                None if initial is None else _moved(values, initial[name].float()),
                bad,
                name in frozen_until,
                name in used or not parameter.requires_grad,
                digits_of(parameter.dtype),
            )
        )
    return found


def measure_losses(networks: nn.ModuleDict, sampled: Sampled) -> ModeLosses:
    """The losses of the same batches in different modes; modes, buffers and generators are put back."""
    norms = [m for m in networks.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]

    def to_training() -> None:
        set_mode(networks, True)

    def to_batch_statistics() -> None:
        for norm in norms:
            norm.train()

    evaluation = _loss(networks, sampled, lambda: None)
    return ModeLosses(
        evaluation,
        _loss(networks, sampled, to_training),
        _loss(networks, sampled, to_batch_statistics) if norms else evaluation,
        sampled.smallest_batch,
        len(norms),
        _refreshed(networks, sampled, norms) if norms else evaluation,
    )


def _refreshed(networks: nn.ModuleDict, sampled: Sampled, norms: Sequence[nn.modules.batchnorm._BatchNorm]) -> float:
    """The mean loss in evaluation mode, with running statistics of the batches themselves."""
    norms = [norm for norm in norms if norm.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    with kept_buffers(networks):
        try:
            with evaluation_mode(networks):
                for norm in norms:
                    norm.reset_running_stats()
                    norm.momentum = None  # means of equal weights
                    norm.train()
                with kept_randomness(), torch.no_grad():
                    for batch in seeded(sampled.batches, sampled.seed):
                        sampled.task.predict(dict(networks.items()), batch)
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
        return _loss(networks, sampled, lambda: None)


def _loss(networks: nn.ModuleDict, sampled: Sampled, change: Callable[[], None]) -> float:
    """The mean loss over the batches and phases, in evaluation mode but for what `change` sets."""
    total = 0.0
    with kept_randomness(), as_found(networks), torch.no_grad():
        change()
        for batch in seeded(sampled.batches, sampled.seed):
            for phase in sampled.task.phases:
                sampled.task.begin_phase(0, 0)
                total += float(sampled.task.loss(phase, dict(networks.items()), batch).value)
    return total / len(sampled.batches)


def _gradients(
    networks: nn.ModuleDict, task: Task, batch: Batch, learned: Mapping[str, nn.Parameter]
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for phase, content in task.phases.items():
        task.begin_phase(0, 0)
        value = task.loss(phase, dict(networks.items()), batch).value
        is_only = len(task.phases) == 1
        own = {name: p for name, p in learned.items() if is_only or name.partition(".")[0] in content.networks}
        if not value.requires_grad or not own:
            continue
        given = torch.autograd.grad(value, list(own.values()), allow_unused=True)
        found |= {name: g.detach().to_dense().float() for name, g in zip(own, given, strict=True) if g is not None}
    return found


def _differentiable(networks: nn.ModuleDict) -> AbstractContextManager[object]:
    """Recurrent layers of cuDNN have no gradient in evaluation mode; those of torch have."""
    recurrent = any(isinstance(module, nn.RNNBase) for module in networks.modules())
    return without_cudnn() if recurrent else nullcontext()


@contextmanager
def without_cudnn() -> Iterator[None]:
    """Let layers run without cuDNN; `torch.backends.cudnn.flags` fails where digits of layers were set one by one."""
    was_enabled = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = was_enabled


def _size(values: Tensor) -> float:
    return float(values.norm()) / sqrt(values.numel()) if values.numel() else 0.0


def _moved(now: Tensor, before: Tensor) -> float:
    return float((now - before).norm()) / max(float(before.norm()), _TINY)
