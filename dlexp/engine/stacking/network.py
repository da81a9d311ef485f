"""K networks of the same shapes as one network, whose weights are theirs.

Symbols: K members, B samples in a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from dlexp.engine.stacking.dropout import GivenMasks
from dlexp.engine.stacking.plain_layers import PlainLayers
from dlexp.types import Field


class StackedNetwork(nn.Module):
    """One parameter (K, *shape) for each of a member's; `bind` makes those of the members views of them.

    What changes a member's weights in place, such as its optimizer or a checkpoint that is loaded, changes the stack.

    Args:
        members: Networks with the same layers, parameters and buffers.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        # Not as submodules: their parameters are not of their own any more.
        self._members: list[nn.Module]
        object.__setattr__(self, "_members", list(members))
        parameters = [dict(member.named_parameters()) for member in members]
        buffers = [dict(member.named_buffers()) for member in members]
        self._names = list(parameters[0])
        self._parameters_of = [[own[name] for own in parameters] for name in self._names]
        self._buffers_of = {name: [own[name] for own in buffers] for name in buffers[0]}
        self.weights = nn.ParameterList(
            nn.Parameter(_stacked(own), requires_grad=own[0].requires_grad) for own in self._parameters_of
        )
        self._stacked_buffers = {name: _stacked(own) for name, own in self._buffers_of.items()}
        self._kept = {name: torch.empty_like(stacked) for name, stacked in self._stacked_buffers.items()}
        self._own_weights = list(self.weights)  # a list of parameters looks each of them up by the text of its number
        self._plain = PlainLayers.of(members[0])

    def bind(self) -> None:
        """Make the parameters and buffers of each member views of the stack."""
        for stacked, own in zip(self._own_weights, self._parameters_of, strict=True):
            for row, parameter in zip(stacked.data.unbind(), own, strict=True):
                parameter.data, parameter.grad = row, None
        for name, buffers in self._buffers_of.items():
            for row, buffer in zip(self._stacked_buffers[name].unbind(), buffers, strict=True):
                buffer.data = row

    def forward(self, inputs: Field, masks: Sequence[Tensor]) -> Tensor:
        """The outputs of all members: inputs (K, B, *shape), masks of `stacked_masks` -> (K, B, ...)."""
        parameters = dict(zip(self._names, self._own_weights, strict=True))
        if self._plain is not None and isinstance(inputs, Tensor):
            return self._plain(inputs, {**parameters, **self._stacked_buffers}, masks)
        found: Tensor = vmap(self._one)(parameters, self._stacked_buffers, inputs, list(masks))
        return found

    def rows(self) -> dict[int, Tensor]:
        """id of each parameter of a member -> its row of the stack, through which gradients flow."""
        found: dict[int, Tensor] = {}
        for stacked, own in zip(self._own_weights, self._parameters_of, strict=True):
            found |= {id(parameter): row for row, parameter in zip(stacked.unbind(), own, strict=True)}
        return found

    def hand_out_gradients(self) -> None:
        """Give each member the gradient of its parameters."""
        for stacked, own in zip(self._own_weights, self._parameters_of, strict=True):
            rows = [None] * len(own) if stacked.grad is None else stacked.grad.unbind()
            for row, parameter in zip(rows, own, strict=True):
                parameter.grad = row

    def keep_buffers(self) -> None:
        """Keep the buffers of all members, for `restore_buffers`."""
        for name, stacked in self._stacked_buffers.items():
            self._kept[name].copy_(stacked)

    def restore_buffers(self, member: int) -> None:
        """Put back the buffers of a member as they were kept."""
        for name, stacked in self._stacked_buffers.items():
            stacked[member].copy_(self._kept[name][member])

    def _one(
        self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Field, masks: list[Tensor]
    ) -> Tensor:
        base, given = self._members[0], {**parameters, **buffers}
        args, kwargs = ((), inputs) if isinstance(inputs, Mapping) else ((inputs,), {})
        with GivenMasks(masks):
            found: object = functional_call(base, given, args, dict(kwargs))
        if not isinstance(found, Tensor):
            raise TypeError(f"its output must be a tensor, got {type(found).__name__}")
        return found


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors as rows, each in the order of memory that it had."""
    first = tensors[0].detach()
    rows = torch.empty(len(tensors), *first.shape, dtype=first.dtype, device=first.device)
    if not first.is_contiguous() and first.dim():
        order = sorted(range(first.dim()), key=first.stride, reverse=True)
        rows = torch.empty(len(tensors), *(first.shape[axis] for axis in order), dtype=first.dtype, device=first.device)
        back = [order.index(axis) + 1 for axis in range(first.dim())]
        rows = rows.permute(0, *back)
    with torch.no_grad():
        for row, tensor in zip(rows.unbind(), tensors, strict=True):
            row.copy_(tensor)
    return rows
