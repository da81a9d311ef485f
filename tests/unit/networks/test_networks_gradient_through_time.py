"""How far back the gradient reaches: against a derivative by hand, and for the three kinds of cells."""

from __future__ import annotations

import pytest
import torch

from dlexp.models.recurrent.builders import gru, lstm, recurrent_cells, rnn
from dlexp.models.recurrent.layers import recorded_states
from dlexp.networks.gradient_through_time import gradient_by_distance, reach


def test_the_norms_are_those_of_a_derivative_by_hand() -> None:
    start = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    factor = torch.tensor([0.5, -2.0])
    states = [start * 1]
    for _ in range(3):
        states.append(states[-1] * factor)
    lengths = torch.tensor([4, 2])
    loss = (states[3][0].sum() + states[1][1].sum()) / 2  # each sequence at its own end
    found = gradient_by_distance(loss, states, lengths)
    powers = [(factor.double() ** d).norm().item() for d in range(4)]
    assert found.tolist() == pytest.approx(powers)


def test_padding_and_lengths_that_are_not_there_count_for_nothing() -> None:
    states = [torch.ones(2, 1, requires_grad=True)]
    states += [states[0] * 3]
    lengths = torch.tensor([1, 0])
    found = gradient_by_distance(states[0].sum() / 2, states, lengths)
    assert found[0] == 1.0 and found[1].isnan()


def test_the_reach_is_the_last_place_above_a_hundredth() -> None:
    assert reach(torch.tensor([1.0, 0.5, 0.009, 0.011, 0.001])) == 4
    assert reach(torch.tensor([0.0, float("nan")])) == 0
    assert reach(torch.tensor([1.0, float("inf"), 1.0])) == 2  # beside an infinite one all others have faded


@pytest.mark.parametrize("make", [rnn, lstm, gru])
def test_recording_changes_no_output(make: object) -> None:
    torch.manual_seed(0)
    network = make(num_outputs=2, in_channels=3, units=5, layers=2, bidirectional=True).eval()  # type: ignore[operator]
    values, lengths = torch.randn(4, 7, 3), torch.tensor([7, 3, 1, 5])
    expected = network(values, lengths)
    with recorded_states() as directions:
        found = network(values, lengths)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert [len(states) for states in directions] == [7] * 4 and directions[0][0].shape == (4, 5)
    with recorded_states() as outside:
        pass
    assert outside == []


def test_the_memory_of_a_plain_network_fades_and_that_of_an_lstm_with_open_gates_does_not() -> None:
    torch.manual_seed(0)
    values, lengths = torch.randn(8, 60, 2), torch.full((8,), 60)
    norms = {}
    networks = {
        "rnn": rnn(num_outputs=1, in_channels=2, units=16),
        "lstm": lstm(num_outputs=1, in_channels=2, units=16, layers=1, forget_bias=6.0),
        "cells": recurrent_cells(num_outputs=1, in_channels=2, units=16, cell="rnn"),
    }
    for name, network in networks.items():
        with recorded_states() as (directions):
            loss = network.eval()(values, lengths).square().mean()
        norms[name] = gradient_by_distance(loss, directions[0], lengths)
    assert norms["rnn"][40] < 1e-6 * norms["rnn"][0] and norms["cells"][40] < 1e-6 * norms["cells"][0]
    assert norms["lstm"][40] > 1e-2 * norms["lstm"][1:].max()
    assert reach(norms["rnn"]) < 15 < 40 < reach(norms["lstm"])
