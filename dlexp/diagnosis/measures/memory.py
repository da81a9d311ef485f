"""How far back in time the loss of a recurrent network reaches, for layers of dlexp, of torch and of one's own cells.

Symbols: B sequences, T positions of the longest, D size of the input of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_packed_sequence

from dlexp.diagnosis.layer_measures import MemoryMeasure
from dlexp.diagnosis.measures.network import Sampled, without_cudnn
from dlexp.engine.evaluate import seeded
from dlexp.models.recurrent.layers import Recurrence
from dlexp.networks.gradient_through_time import reach
from dlexp.networks.inspection.outputs import as_found
from dlexp.runtime.seed import kept_randomness
from dlexp.types import Batch, Sequences, select

_SAMPLES = 64  # of a batch
_LEAST_LENGTH = 8  # positions: a shorter sequence is no question of memory


@dataclass(frozen=True)
class _Call:
    """A call of a recurrent layer: its input, padded (B, T, D) or of a step (B, D), or the values of a packed one."""

    name: str
    module: nn.Module
    given: Tensor
    packed: nn.utils.rnn.PackedSequence | None


def measure_memory(networks: nn.ModuleDict, sampled: Sampled) -> MemoryMeasure | None:
    """The reach of the first recurrent layer that is called; None without such layers, and for short sequences."""
    recurrent = {
        name: module
        for name, module in networks.named_modules()
        if isinstance(module, nn.RNNBase | nn.RNNCellBase | Recurrence)
    }
    if not recurrent:
        return None
    batch = _first(sampled.batches[0])
    seen: list[_Call] = []
    with ExitStack() as stack:
        for name, module in recurrent.items():
            hook = module.register_forward_pre_hook(_noting(name, seen), with_kwargs=True)
            stack.callback(hook.remove)
        stack.enter_context(without_cudnn())  # whose layers have no gradient in this mode
        for part in (kept_randomness(), as_found(networks), torch.enable_grad()):
            stack.enter_context(part)
        for one in seeded([batch], sampled.seed):
            loss = sampled.task.loss(next(iter(sampled.task.phases)), dict(networks.items()), one).value
        return _measure(loss, seen, batch)


def _noting(name: str, seen: list[_Call]) -> Callable[..., Any]:
    """Notes the input of each call of the first layer alone, and lets gradients of it be computed."""

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not args or (seen and seen[0].name != name):
            return None
        given, *more = args
        packed = given if isinstance(given, nn.utils.rnn.PackedSequence) else None
        values = given if packed is None else packed.data
        if not isinstance(values, Tensor) or not values.is_floating_point():
            return None
        followed = values if values.requires_grad else values.detach().requires_grad_()
        seen.append(_Call(name, module, followed, packed))
        if followed is values:
            return None
        return (followed if packed is None else packed._replace(data=followed), *more), kwargs

    return note


def _measure(loss: Tensor, seen: Sequence[_Call], batch: Batch) -> MemoryMeasure | None:
    if not seen or not loss.requires_grad:
        return None
    first = seen[0]
    inputs = [one.given for one in seen] if isinstance(first.module, nn.RNNCellBase) else [first.given]
    found = torch.autograd.grad(loss, inputs, allow_unused=True)
    gradients = [torch.zeros_like(one) if grad is None else grad for one, grad in zip(inputs, found, strict=True)]
    norms = _by_distance(_sizes(gradients, first), batch)
    known = norms.isfinite()
    length = int(known.sum())
    if length < _LEAST_LENGTH or not bool((norms[known] > 0).any()):
        return None
    return MemoryMeasure(first.name, length, reach(norms), float(norms[known][-1] / norms[known].max()))


def _sizes(gradients: list[Tensor], first: _Call) -> Tensor:
    """(B, T) float64 norms."""
    if first.packed is not None:
        padded, _ = pad_packed_sequence(first.packed._replace(data=gradients[0]), batch_first=True)
        sizes: Tensor = padded.double().norm(dim=2).cpu()
        return sizes
    if gradients[0].dim() == 2:
        return torch.stack([one.double().norm(dim=1).cpu() for one in gradients], dim=1)
    norms: Tensor = gradients[0].double().norm(dim=2).cpu()
    return norms if getattr(first.module, "batch_first", True) else norms.T


def _by_distance(sizes: Tensor, batch: Batch) -> Tensor:
    """(T,) at d the mean over the sequences that reach back d positions; NaN where less than half do."""
    count, longest = sizes.shape
    lengths = torch.full((count,), longest)
    if isinstance(batch.inputs, Sequences) and len(batch.inputs.lengths) == count:
        lengths = batch.inputs.lengths.cpu().clamp(max=longest)
    result = torch.full((longest,), float("nan"), dtype=torch.float64)
    for distance in range(longest):
        long = (lengths > distance).nonzero().flatten()
        if 2 * len(long) >= count:
            result[distance] = sizes[long, lengths[long] - 1 - distance].mean()
    return result


def _first(batch: Batch) -> Batch:
    chosen = torch.arange(min(_SAMPLES, len(batch)), device=batch.indices.device)
    targets = None if batch.targets is None else select(batch.targets, chosen)
    return Batch(select(batch.inputs, chosen), targets, batch.indices[chosen])
