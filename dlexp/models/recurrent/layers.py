"""Recurrent layers over padded batches: in one or two directions, whole or one step at a time.

Padding is at the end, so the forward direction never reads it before a step of its own. The backward direction reads
each sequence reversed within its own length, and so begins at its last step; no packing is needed, which exporters do
not support, and which waits for the GPU.

Symbols: B samples, T positions of the longest sequence, D size of the input of a step, H units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dlexp.models.recurrent.gates import RecurrentCell, States, gru_step, lstm_step, vanilla_step
from dlexp.models.sequences.inputs import kept_positions

FUSED: dict[str, type[nn.RNN | nn.LSTM | nn.GRU]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}

_RECORDED: ContextVar[list[list[Tensor]] | None] = ContextVar("recorded states", default=None)
_STEPS = {nn.RNN: vanilla_step, nn.LSTM: lstm_step, nn.GRU: gru_step}


class Recurrence(nn.Module):
    """One direction of a layer."""

    def forward(self, x: Tensor, state: States | None = None) -> tuple[Tensor, States]:
        """(B, T, D) -> outputs (B, T, H), and the state after T steps; from zeros, or from a state (B, H) each."""
        raise NotImplementedError

    def read(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, States]:
        """Outputs as in `forward`, and the state of each sequence after its own last step; zeros for length 0."""
        raise NotImplementedError

    def weights(self) -> tuple[Tensor, ...]:
        """Of the input (G * H, D) and the state (G * H, H), and the biases of both (G * H,)."""
        raise NotImplementedError


class FusedRecurrence(Recurrence):
    """torch's `nn.RNN`, `nn.LSTM` or `nn.GRU`, of one layer and direction."""

    def __init__(self, kind: str, inputs: int, units: int) -> None:
        super().__init__()
        self.layer = FUSED[kind](inputs, units, batch_first=True)

    def forward(self, x: Tensor, state: States | None = None) -> tuple[Tensor, States]:
        """(B, T, D) -> (B, T, H), state."""
        if torch.compiler.is_exporting() or _RECORDED.get() is not None:
            return self._scanned(x, state)
        outputs, final = self.layer(x, None if state is None else self._given(state))
        return outputs, self._states(final)

    def read(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, States]:
        """(B, T, D) -> (B, T, H), state."""
        own = lengths.clamp(min=1).cpu()
        packed, final = self.layer(pack_padded_sequence(x, own, batch_first=True, enforce_sorted=False))
        outputs, _ = pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])
        empty = (lengths == 0)[:, None].to(x.device)
        return outputs, tuple(part.masked_fill(empty, 0) for part in self._states(final))

    def weights(self) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        return tuple(self.layer.get_parameter(name) for name in names)

    def _scanned(self, x: Tensor, state: States | None) -> tuple[Tensor, States]:
        """The same by single steps: torch's exporter fixes the length of its layers, and none is recorded."""
        of_input, of_state, bias, state_bias = self.weights()
        product = F.linear(x, of_input, bias)
        if state is None:
            first = product.new_zeros(x.shape[0], self.layer.hidden_size)
            state = (first, first.clone()) if isinstance(self.layer, nn.LSTM) else (first,)
        step = _STEPS[type(self.layer)]
        return over_steps(lambda own, s: step(own, F.linear(s[0], of_state, state_bias), s), product, state)

    def _given(self, state: States) -> Any:
        layered = tuple(part.unsqueeze(0) for part in state)
        return layered if isinstance(self.layer, nn.LSTM) else layered[0]

    def _states(self, final: Any) -> States:
        return tuple(part.squeeze(0) for part in (final if isinstance(final, tuple) else (final,)))


class CellRecurrence(Recurrence):
    """A cell of `dlexp.models.recurrent.gates`, step by step."""

    def __init__(self, cell: RecurrentCell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, state: States | None = None) -> tuple[Tensor, States]:
        """(B, T, D) -> (B, T, H), state."""
        product = self.cell.from_input(x)
        return over_steps(self.cell.step, product, state or self._zeros(product))

    def read(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, States]:
        """(B, T, D) -> (B, T, H), state."""
        product, outputs = self.cell.from_input(x), []
        state, kept = self._zeros(product), kept_positions(x, lengths)
        for number, own in enumerate(product.unbind(1)):
            new, goes_on = self.cell.step(own, state), kept[:, number, None]
            state = tuple(torch.where(goes_on, after, before) for after, before in zip(new, state, strict=True))
            outputs.append(new[0])
        return torch.stack(outputs, 1), state

    def weights(self) -> tuple[Tensor, ...]:
        """As in `Recurrence`."""
        return self.cell.weights()

    def _zeros(self, product: Tensor) -> States:
        return tuple(product.new_zeros(product.shape[0], self.cell.units) for _ in range(self.cell.states))


def over_steps(step: Callable[[Tensor, States], States], product: Tensor, state: States) -> tuple[Tensor, States]:
    """Outputs (B, T, H) and the last state of `step` over the positions of `product` (B, T, P)."""
    if torch.compiler.is_exporting() and not _is_one(product.shape[1]):  # a loop of Python would fix the length
        from torch._higher_order_ops.scan import scan

        def combine(before: list[Tensor], own: Tensor) -> tuple[list[Tensor], Tensor]:
            after = step(own, tuple(before))
            return list(after), after[0].clone()

        final, scanned = scan(combine, list(state), product.transpose(0, 1))
        return scanned.transpose(0, 1), tuple(final)
    outputs = []
    for own in product.unbind(1):
        state = step(own, state)
        outputs.append(state[0])
    if (recorded := _RECORDED.get()) is not None:
        recorded.append(outputs)
    return torch.stack(outputs, 1), state


@contextmanager
def recorded_states() -> Iterator[list[list[Tensor]]]:
    """Run recurrent layers step by step, and record the outputs (B, H) of each step of each direction that is run.

    The directions of a layer come in the order forward, backward; each output is computed of the one before, so that
    gradients of it go through time.
    """
    found: list[list[Tensor]] = []
    token = _RECORDED.set(found)
    try:
        yield found
    finally:
        _RECORDED.reset(token)


def _is_one(length: int | torch.SymInt) -> bool:
    """Whether a length is fixed, and 1: the next position of a sequence."""
    return isinstance(length, int) and length == 1


class RecurrentLayer(nn.Module):
    """One layer in one or two directions: (B, T, D) -> (B, T, H), or (B, T, 2 H) forward and backward outputs.

    Args:
        made: Makes one direction.
        bidirectional: Whether there is a second one.
    """

    def __init__(self, made: Callable[[], Recurrence], bidirectional: bool) -> None:
        super().__init__()
        self.ahead = made()
        self.back = made() if bidirectional else None

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T, D), lengths (B,) -> outputs; at padded positions they have no meaning."""
        outputs: Tensor = self.ahead(x)[0]
        if self.back is None:
            return outputs
        backward: Tensor = self.back(reversed_within(x, lengths))[0]
        return torch.cat([outputs, reversed_within(backward, lengths)], -1)


def reversed_within(x: Tensor, lengths: Tensor | None) -> Tensor:
    """(B, T, D) with the own positions of each sequence in reverse order; padding stays where it is."""
    if lengths is None:
        return x.flip(1)
    positions = torch.arange(x.shape[1], device=x.device)
    sources = lengths[:, None] - 1 - positions
    sources = torch.where(sources < 0, positions, sources)
    return x.gather(1, sources.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
