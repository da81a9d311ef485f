"""Units that a gradient cannot pass: dead ones, and saturated ones.

Symbols: B samples, T positions, U units.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dlexp.diagnosis.layer_measures import ActivationMeasure
from dlexp.diagnosis.measures.network import Sampled
from dlexp.engine.evaluate import seeded
from dlexp.networks.inspection.activations import ActivationCall, watched_activations
from dlexp.networks.inspection.outputs import as_found
from dlexp.runtime.seed import kept_randomness
from dlexp.types import Batch, Sequences

_FLAT = 0.01  # of the steepest slope: a unit below it for every sample learns nothing
_SATURATED = 0.1  # of the steepest slope
_MOSTLY = 0.95  # of its outputs: a unit that is saturated for so many tells samples apart by the others alone


def measure_activations(networks: nn.ModuleDict, sampled: Sampled) -> list[ActivationMeasure]:
    """Every place where an activation is applied, over all batches, in evaluation mode, in the order of first calls.

    Modules and functions alike; nothing of the networks is changed.
    """
    units = ActivationUnits()
    with (
        kept_randomness(),
        as_found(networks),
        torch.no_grad(),
        watched_activations(networks) as calls,
    ):
        for batch in seeded(sampled.batches, sampled.seed):
            calls.clear()
            sampled.task.predict(dict(networks.items()), batch)
            units.add(calls, batch)
    return units.measures()


class ActivationUnits:
    """The units of all activations of networks, fed batch by batch."""

    def __init__(self) -> None:
        self._units: dict[tuple[str, str, str, int], _Units] = {}

    def add(self, calls: Sequence[ActivationCall], batch: Batch) -> None:
        """Add the calls of activations for a batch."""
        for call in calls:
            key = (call.place, call.function, call.after, call.given.shape[call.unit])
            self._units.setdefault(key, _Units(call.place, call.function, call.after)).add(call, _mask(batch))

    def measures(self) -> list[ActivationMeasure]:
        """Every place, in the order of first calls."""
        uses = Counter(found.place for found in self._units.values())
        return [found.measure(is_shared=uses[found.place] > 1) for found in self._units.values()]


@dataclass
class _Units:
    """The units of one place, over calls and batches."""

    place: str
    function: str
    after: str
    two_sided: bool = False
    is_gate: bool = False
    is_end: bool = False
    count: int = 0
    _flat: int = 0
    _size: float = 0.0
    _dead: Tensor | None = None
    _shares: list[Tensor] = field(default_factory=list)
    _low: Tensor | None = None
    _high: Tensor | None = None

    def add(self, call: ActivationCall, mask: Tensor | None) -> None:
        """Add a call; positions behind a sequence do not count."""
        self.is_gate, self.is_end = self.is_gate or call.is_gate, self.is_end or call.is_end
        if call.slope is None:
            return
        slope, given = _by_unit(call.slope, call.unit, mask), _by_unit(call.given.float(), call.unit, mask)
        if not slope.numel():
            return
        self.two_sided = call.two_sided
        flat = slope < _SATURATED
        self.count += slope.numel()
        self._flat += int(flat.sum())
        self._size += float(given.abs().nan_to_num(0.0, 0.0, 0.0).sum())
        self._shares.append(flat.float().mean(dim=1))
        dead = (slope < _FLAT).all(dim=1)
        low, high = given.amin(dim=1), given.amax(dim=1)
        self._dead = dead if self._dead is None else self._dead & dead
        self._low = low if self._low is None else torch.minimum(self._low, low)
        self._high = high if self._high is None else torch.maximum(self._high, high)

    def measure(self, *, is_shared: bool) -> ActivationMeasure:
        """The units; one whose input is the same for every sample says nothing of its activation."""
        dead = constant = mostly = units = 0
        if self._dead is not None and self._low is not None and self._high is not None:
            units, fixed = len(self._dead), self._high == self._low
            dead, constant = int((self._dead & ~fixed).sum()), int(fixed.sum())
            mostly = int(((torch.stack(self._shares).mean(dim=0) >= _MOSTLY) & ~fixed).sum())
        count = max(1, self.count)
        return ActivationMeasure(
            f"{self.place} after {self.after}" if is_shared and " after " not in self.place else self.place,
            self.function,
            self.after,
            units,
            dead,
            constant,
            self._flat / count if self.two_sided else None,
            mostly if self.two_sided else 0,
            self._size / count,
            self.is_gate,
            self.is_end,
        )


def _by_unit(tensor: Tensor, unit: int, mask: Tensor | None) -> Tensor:
    """(U, everything else)."""
    if mask is not None and tensor.dim() > 2 and tensor.shape[:2] == mask.shape and unit == tensor.dim() - 1:
        tensor, unit = tensor[mask], tensor.dim() - 2
    if tensor.dim() == 1:
        return tensor[None]
    return tensor.movedim(unit, 0).flatten(1)


def _mask(batch: Batch) -> Tensor | None:
    return batch.inputs.mask if isinstance(batch.inputs, Sequences) else None
