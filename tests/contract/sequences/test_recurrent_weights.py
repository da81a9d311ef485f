"""Recurrent models against torch's layers with the same weights, the gates' equations, and the documents' sizes."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from sequence_models import sequences
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dlexp.models.recurrent.builders import gru, lstm, recurrent_cells, rnn
from dlexp.models.recurrent.gates import GruCell, ResetBeforeGruCell
from dlexp.models.recurrent.layers import CellRecurrence, FusedRecurrence, RecurrentLayer
from dlexp.models.recurrent.network import RecurrentNetwork
from dlexp.models.recurrent.weights import initialize_recurrence

TORCH: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
BUILDERS: dict[str, Any] = {"rnn": rnn, "lstm": lstm, "gru": gru}
UNITS, LAYERS = 6, 2


def weights_of(network: RecurrentNetwork) -> dict[str, Tensor]:
    """The weights of the layers by torch's names."""
    found = {}
    for number, layer in enumerate(network.layers):
        assert isinstance(layer, RecurrentLayer)
        for direction, suffix in ((layer.ahead, ""), (layer.back, "_reverse")):
            if direction is not None:
                kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                for kind, weight in zip(kinds, direction.weights(), strict=True):
                    found[f"{kind}_l{number}{suffix}"] = weight
    return found


@pytest.mark.parametrize(("kind", "of_cells", "both"), [*product(TORCH, [False, True], [False, True])])
def test_outputs_and_gradients_are_those_of_torch(kind: str, of_cells: bool, both: bool) -> None:
    """Against torch's packed layer, which is right for padding by another way."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"in_channels": 3, "num_outputs": 2, "units": UNITS, "layers": LAYERS, "dropout": 0.0}
    make: Any = recurrent_cells if of_cells else BUILDERS[kind]
    own: RecurrentNetwork = make(**sizes, bidirectional=both, **({"cell": kind} if of_cells else {}))
    peer = TORCH[kind](3, UNITS, LAYERS, batch_first=True, bidirectional=both)
    weights = weights_of(own)
    assert weights.keys() == dict(peer.named_parameters()).keys()
    with torch.no_grad():
        for name, parameter in peer.named_parameters():
            parameter.copy_(weights[name])
    values, lengths = sequences("series", [7, 2, 5, 1, 7])
    mine, theirs = values.clone().requires_grad_(), values.clone().requires_grad_()
    packed, final = peer(pack_padded_sequence(theirs, lengths, batch_first=True, enforce_sorted=False))
    expected, _ = pad_packed_sequence(packed, batch_first=True)
    kept = torch.arange(7)[:, None] < lengths
    found = own.states(mine, lengths)
    assert ((found - expected)[kept.T].abs() <= 1e-6).all()
    last = final[0] if isinstance(final, tuple) else final
    wanted = torch.cat([last[-2], last[-1]], -1) if both else last[-1]
    assert own.pooling is not None
    torch.testing.assert_close(own.pooling(found, lengths), wanted, rtol=0, atol=1e-6)
    factor = torch.randn_like(expected)
    (found * factor)[kept.T].sum().backward()
    (expected * factor)[kept.T].sum().backward()
    assert mine.grad is not None and theirs.grad is not None
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-5, atol=1e-6)
    for name, parameter in peer.named_parameters():
        torch.testing.assert_close(weights[name].grad, parameter.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kind", "of_cells"), [*product(TORCH, [False, True])])
def test_the_state_after_a_prompt_is_that_of_torch(kind: str, of_cells: bool) -> None:
    torch.manual_seed(0)
    direction = CellRecurrence(_cell(kind)) if of_cells else FusedRecurrence(kind, 3, UNITS)
    peer = TORCH[kind](3, UNITS, batch_first=True)
    with torch.no_grad():
        for parameter, weight in zip(peer.parameters(), direction.weights(), strict=True):
            parameter.copy_(weight)
    values, lengths = sequences("series")
    _, state = direction.read(values, lengths)
    for row, length in enumerate(lengths.tolist()):
        if not length:
            assert all((part[row] == 0).all() for part in state)
            continue
        _, final = peer(values[row : row + 1, :length])
        parts = final if isinstance(final, tuple) else (final,)
        for part, expected in zip(state, parts, strict=True):
            torch.testing.assert_close(part[row], expected[0, 0], rtol=0, atol=1e-6)


def _cell(kind: str) -> Any:
    from dlexp.models.recurrent.gates import CELLS

    return CELLS[kind](3, UNITS)


def test_the_two_forms_of_the_gru_differ_with_the_same_weights() -> None:
    """The documents' form is their equations, over cat[x, h]; torch's is another function of the same numbers."""
    torch.manual_seed(0)
    ours, torchs = ResetBeforeGruCell(3, UNITS), GruCell(3, UNITS)
    x, h = torch.randn(4, 3), torch.randn(4, UNITS)
    of_input, bias = ours.from_input.weight, ours.from_input.bias
    of_state = torch.cat([ours.from_state.weight, ours.from_reset_state.weight])
    state_bias = torch.cat([ours.from_state.bias, ours.from_reset_state.bias])
    gates = [
        (torch.cat([w, u], 1), b + c)
        for w, u, b, c in zip(*(part.chunk(3) for part in (of_input, of_state, bias, state_bias)), strict=True)
    ]
    reset, update = ((torch.cat([x, h], 1) @ w.T + b).sigmoid() for w, b in gates[:2])
    candidate = (torch.cat([x, reset * h], 1) @ gates[2][0].T + gates[2][1]).tanh()
    (found,) = ours.step(ours.from_input(x), (h,))
    torch.testing.assert_close(found, (1 - update) * h + update * candidate, rtol=0, atol=1e-6)
    with torch.no_grad():
        for given, weight in zip(torchs.weights(), (of_input, of_state, bias, state_bias), strict=True):
            given.copy_(weight)
    (other,) = torchs.step(torchs.from_input(x), (h,))
    assert (found - other).abs().max() > 0.1
    peer = nn.GRUCell(3, UNITS)
    with torch.no_grad():
        for parameter, weight in zip(peer.parameters(), torchs.weights(), strict=True):
            parameter.copy_(weight)
    torch.testing.assert_close(other, peer(x, h), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "changed", "expected"),
    [
        (rnn, {}, 4_994),
        (rnn, {"layers": 2}, 13_314),
        (rnn, {"per_position": True}, 4_994),
        (lstm, {}, 52_866),
        (gru, {}, 39_682),
        (lstm, {"bidirectional": True, "dropout": 0.3, "output_dropout": 0.3}, 138_498),
        (recurrent_cells, {"cell": "lstm", "layers": 2}, 52_866),
        (recurrent_cells, {"cell": "gru", "layers": 2}, 39_682),
        (recurrent_cells, {"cell": "gru_reset_before", "layers": 2}, 39_682),
    ],
)
def test_the_size_is_that_of_the_documents(make: Any, changed: dict[str, Any], expected: int) -> None:
    """For ten channels, 64 units and two outputs, whatever the pooling but attention."""
    network = make(in_channels=10, num_outputs=2, **changed)
    assert sum(p.numel() for p in network.parameters()) == expected
    assert network(torch.randn(32, 20, 10)).shape == ((32, 20, 2) if "per_position" in changed else (32, 2))


@pytest.mark.parametrize("recurrence", [FusedRecurrence("lstm", 3, UNITS), CellRecurrence(_cell("lstm"))])
def test_weights_begin_as_they_are_told(recurrence: Any) -> None:
    torch.manual_seed(0)
    initialize_recurrence(recurrence, "orthogonal", 1.0)
    _, of_state, bias, state_bias = recurrence.weights()
    for gate in of_state.chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(UNITS))
    assert bias.tolist() == [0.0] * UNITS + [1.0] * UNITS + [0.0] * 2 * UNITS and not state_bias.any()
    initialize_recurrence(recurrence, "orthogonal")
    assert not bias.any()
    with pytest.raises(ValueError, match="orthogonal"):
        initialize_recurrence(recurrence, "identity")


def test_the_memory_is_kept_at_the_start() -> None:
    network = lstm(in_channels=3, num_outputs=2, layers=1)
    direction = network.layers[0].ahead
    assert isinstance(direction, FusedRecurrence)
    bias, state_bias = direction.weights()[2:]
    assert (bias[64:128] == 1).all() and (state_bias[64:128] == 0).all() and (bias[:64].abs() < 0.126).all()


def test_dropout_is_between_layers_and_in_front_of_the_output() -> None:
    """It draws from torch's generator alone, so a step can be repeated; with one layer there is nothing between."""
    values, lengths = sequences("series")
    for changed, is_noisy in (
        ({"dropout": 0.5, "layers": 2}, True),
        ({"dropout": 0.5, "layers": 1}, False),
        ({"dropout": 0.0, "output_dropout": 0.5, "layers": 1}, True),
    ):
        network = lstm(in_channels=3, num_outputs=2, **changed)  # type: ignore[arg-type]
        torch.manual_seed(5)
        first, second = network(values, lengths), network(values, lengths)
        assert torch.equal(first, second) != is_noisy
        torch.manual_seed(5)
        assert torch.equal(network(values, lengths), first)
        network.eval()
        assert torch.equal(network(values, lengths), network(values, lengths))


def test_wrong_words_are_named() -> None:
    for make, changed, word in (
        (lstm, {"pooling": "first"}, "last, mean, max, final, attention"),
        (lstm, {"pooling": "last", "bidirectional": True}, "Use pooling=final"),
        (recurrent_cells, {"cell": "mgu"}, "gru_reset_before"),
        (recurrent_cells, {"cell": "gru", "forget_bias": 1.0}, "forget_bias=null"),
    ):
        with pytest.raises(ValueError, match=word):
            make(in_channels=3, num_outputs=2, **changed)
    with pytest.raises(ValueError, match="requires sequences"):
        gru(num_outputs=2)
