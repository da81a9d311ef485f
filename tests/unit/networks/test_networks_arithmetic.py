from __future__ import annotations

import torch
from torch import nn

from dlexp.networks.arithmetic import counted_arithmetic


def test_layers_are_counted_by_kind() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),  # 8x8 positions of 3 * 8 * 9
        nn.Conv2d(8, 8, 3, padding=1, groups=8),  # 8 * 9
        nn.MaxPool2d(4),
        nn.Conv2d(8, 4, 3, padding=1),  # 2x2 positions of 8 * 4 * 9: a small map
        nn.Conv2d(4, 4, 1),  # 2x2 positions of 4 * 4, and no window
        nn.Flatten(),
        nn.Linear(16, 10),
    )
    with counted_arithmetic(network) as found:
        network(torch.zeros(5, 3, 8, 8))
    first, depthwise, small, pixel, dense = 64 * 216, 64 * 72, 4 * 288, 4 * 16, 160
    assert found.samples == 5
    assert found.total == 5 * (first + depthwise + small + pixel + dense)
    assert found.convolutions == 5 * (first + depthwise + small + pixel)
    assert (found.depthwise, found.small) == (5 * depthwise, 5 * small)
    assert found.per_sample == first + depthwise + small + pixel + dense


def test_a_transposed_convolution_works_at_every_position_of_its_input() -> None:
    network = nn.ConvTranspose2d(4, 6, 3, stride=2)
    with counted_arithmetic(network) as found:
        network(torch.zeros(2, 4, 5, 5))
    assert found.convolutions == 2 * 25 * 4 * 6 * 9


def test_a_recurrent_layer_works_at_every_step_in_every_direction() -> None:
    for batch_first in (True, False):
        network = nn.LSTM(10, 16, num_layers=2, bidirectional=True, batch_first=batch_first)
        with counted_arithmetic(network) as found:
            network(torch.zeros(5, 7, 10))
        first, second = 2 * 4 * 16 * (10 + 16), 2 * 4 * 16 * (32 + 16)
        assert found.total == 5 * 7 * (first + second)
        assert found.samples == (5 if batch_first else 7)


def test_nothing_is_counted_behind_the_body() -> None:
    network = nn.Conv1d(1, 1, 3)
    with counted_arithmetic(network) as found:
        network(torch.zeros(1, 1, 5))
    network(torch.zeros(1, 1, 5))
    assert (found.total, found.small) == (9, 0)
    assert found.share(found.depthwise) == 0
    assert not network._forward_hooks


def test_a_network_of_other_layers_computes_nothing_that_is_counted() -> None:
    with counted_arithmetic(nn.ReLU()) as found:
        pass
    assert found.per_sample == 0
    assert found.share(found.small) == 0
