"""Recurrent cells, written from their gates.

A cell is told the product of its input, so that the products of all steps are one; it computes one step of the state.
Its rows are in the order of torch's layers: weights can be copied from `nn.RNN`, `nn.LSTM` and `nn.GRU`.

Symbols: B samples, T positions, D size of the input of a step, H units, G products of a unit; x_t the input of step t,
h_t its output, sigma the logistic function, * elementwise.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

States = tuple[Tensor, ...]  # (B, H) each; the first is the output


def vanilla_step(product: Tensor, own: Tensor, _state: States) -> States:
    """The next state of `VanillaCell`, of the products of the input and of the state before, (B, H) each."""
    return ((product + own).tanh(),)


def lstm_step(product: Tensor, own: Tensor, state: States) -> States:
    """The next output and memory of `LstmCell`, of the products of the input and of the state before, (B, 4 H) each."""
    into, forget, candidate, out = (product + own).chunk(4, -1)
    memory = forget.sigmoid() * state[1] + into.sigmoid() * candidate.tanh()
    return out.sigmoid() * memory.tanh(), memory


def gru_step(product: Tensor, own: Tensor, state: States) -> States:
    """The next state of `GruCell`, of the products of the input and of the state before, (B, 3 H) each."""
    reset, update, candidate = product.chunk(3, -1)
    own_reset, own_update, own_candidate = own.chunk(3, -1)
    new = (candidate + (reset + own_reset).sigmoid() * own_candidate).tanh()
    keep = (update + own_update).sigmoid()
    return (new + keep * (state[0] - new),)


class RecurrentCell(nn.Module):
    """The weights of a cell: W x_t + b of the input and U h_{t-1} + c of the state.

    products  G, the number of products of each unit
    states    the number of tensors (B, H) that pass from step to step
    """

    products: ClassVar[int]
    states: ClassVar[int] = 1

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.from_input = nn.Linear(inputs, self.products * units)
        self.from_state = nn.Linear(units, self.products * units)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(units**-0.5), units**-0.5)

    def step(self, product: Tensor, state: States) -> States:
        """The next state, of the product of the input (B, G * H) and the state before."""
        raise NotImplementedError

    def weights(self) -> tuple[Tensor, ...]:
        """Of the input (G * H, D) and the state (G * H, H), and the biases of both (G * H,)."""
        return self.from_input.weight, self.from_state.weight, self.from_input.bias, self.from_state.bias


class VanillaCell(RecurrentCell):
    """h_t = tanh(W x_t + b + U h_{t-1} + c) (Elman 1990): the gradient vanishes or explodes with the length."""

    products = 1

    def step(self, product: Tensor, state: States) -> States:
        """(B, H), one state -> one state."""
        return vanilla_step(product, self.from_state(state[0]), state)


class LstmCell(RecurrentCell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; with forget gate, Gers et al. 2000).

    i, f, o = sigma(...), g = tanh(...), each of x_t and h_{t-1}; c_t = f * c_{t-1} + i * g; h_t = o * tanh(c_t).
    """

    products = 4
    states = 2

    def step(self, product: Tensor, state: States) -> States:
        """(B, 4 H), output and memory -> output and memory."""
        return lstm_step(product, self.from_state(state[0]), state)


class GruCell(RecurrentCell):
    """Gated recurrent unit in the form of torch and cuDNN: the reset gate acts after the product of the state.

    r, z = sigma(...); n = tanh(W x_t + b + r * (U h_{t-1} + c)); h_t = (1 - z) * n + z * h_{t-1}.
    """

    products = 3

    def step(self, product: Tensor, state: States) -> States:
        """(B, 3 H), one state -> one state."""
        return gru_step(product, self.from_state(state[0]), state)


class ResetBeforeGruCell(RecurrentCell):
    """Gated recurrent unit as first published (Chung et al. 2014, arXiv:1412.3555), where the reset gate acts first.

    r, z = sigma(...); n = tanh(W x_t + b + U (r * h_{t-1}) + c); h_t = (1 - z) * h_{t-1} + z * n. With the weights of
    `GruCell` its outputs are others: z has the opposite sense, and the reset gate another place.
    """

    products = 3

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__(inputs, units)
        whole = self.from_state
        self.from_state = nn.Linear(units, 2 * units)
        self.from_reset_state = nn.Linear(units, units)
        with torch.no_grad():
            for name in ("weight", "bias"):
                drawn = getattr(whole, name).detach()
                getattr(self.from_state, name).copy_(drawn[: 2 * units])
                getattr(self.from_reset_state, name).copy_(drawn[2 * units :])

    def step(self, product: Tensor, state: States) -> States:
        """(B, 3 H), one state -> one state."""
        gates, candidate = product.tensor_split([2 * self.units], -1)
        reset, update = (gates + self.from_state(state[0])).sigmoid().chunk(2, -1)
        new = (candidate + self.from_reset_state(reset * state[0])).tanh()
        return (state[0] + update * (new - state[0]),)


CELLS: dict[str, type[RecurrentCell]] = {
    "rnn": VanillaCell,
    "lstm": LstmCell,
    "gru": GruCell,
    "gru_reset_before": ResetBeforeGruCell,
}
