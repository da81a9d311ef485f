"""Convolutions over positions: the receptive field, the published parts, and what cannot be asked for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sequence_models import sequences
from torch import nn

from dlexp.models.temporal.tcn import CausalConv, receptive_field, tcn
from dlexp.models.temporal.text_cnn import text_cnn


@pytest.mark.parametrize(("kernel", "blocks"), [(2, 1), (3, 2), (2, 4), (5, 2)])
def test_an_output_reads_its_receptive_field_and_no_more(kernel: int, blocks: int) -> None:
    torch.manual_seed(0)
    field = receptive_field(kernel, blocks)
    network = tcn(
        in_channels=2, num_outputs=1, per_position=True, channels=[4] * blocks, kernel=kernel, activation="tanh"
    ).eval()
    assert network.receptive_field == field
    values = torch.randn(1, 2 * field, 2, requires_grad=True)
    network(values)[0, -1].sum().backward()
    assert values.grad is not None
    assert (values.grad.abs().sum(-1)[0] > 0).tolist() == [False] * field + [True] * field


def test_weight_normalization_learns_length_and_direction() -> None:
    torch.manual_seed(0)
    with_norm, without = (tcn(in_channels=2, num_outputs=1, channels=[4, 4], weight_norm=on) for on in (True, False))
    more = sum(p.numel() for p in with_norm.parameters()) - sum(p.numel() for p in without.parameters())
    assert more == 4 * 4  # a length for each kernel of four convolutions
    conv = next(m for m in with_norm.modules() if isinstance(m, CausalConv))
    before = conv.weight.detach().clone()
    with torch.no_grad():
        conv.parametrizations.weight.original1.mul_(3)  # type: ignore[union-attr, operator]
    torch.testing.assert_close(conv.weight, before)


def test_the_shortcut_has_weights_only_where_the_channels_change() -> None:
    network = tcn(in_channels=2, num_outputs=1, channels=[4, 4, 6])
    kinds = [type(block.shortcut) for block in network.blocks]
    assert kinds == [nn.Conv1d, nn.Identity, nn.Conv1d]


def test_initialization_reaches_the_kernels_through_weight_normalization() -> None:
    network = tcn(in_channels=2, num_outputs=1, channels=[4], init="orthogonal")
    convs = [m for m in network.modules() if isinstance(m, CausalConv)]
    for conv in convs:
        rows = conv.weight.flatten(1) / 2**0.5
        torch.testing.assert_close(rows @ rows.T, torch.eye(4), atol=1e-5, rtol=0)


def test_a_text_cnn_takes_the_largest_of_the_windows_within_a_sequence() -> None:
    torch.manual_seed(0)
    network = text_cnn(in_channels=3, num_outputs=2, widths=[2, 4], filters=5).eval()
    values, lengths = sequences("series")
    found = network(values, lengths)
    for row, length in enumerate(lengths.tolist()):
        pooled = []
        for part in network.maxima:
            width = part.conv.kernel_size[0]  # type: ignore[union-attr, index]
            steps = torch.zeros(max(length, width), 3)
            steps[:length] = values[row, :length]
            pooled.append(part.conv(steps.T[None]).relu().amax(-1)[0])  # type: ignore[operator]
        torch.testing.assert_close(network.output(torch.cat(pooled)), found[row], atol=1e-6, rtol=0)
    assert sum(p.numel() for p in network.parameters()) == 3 * 5 * (2 + 4) + 10 + 10 * 2 + 2


@pytest.mark.parametrize(
    ("make", "changed", "word"),
    [
        (tcn, {"pooling": "final"}, "pooling=last"),
        (tcn, {"activation": "swish"}, "activation"),
        (text_cnn, {"per_position": True}, "model=tcn"),
        (text_cnn, {"in_channels": None}, "requires sequences"),
        (tcn, {"in_channels": None}, "requires sequences"),
    ],
)
def test_wrong_words_are_named(make: Any, changed: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        make(**{"in_channels": 3, "num_outputs": 2} | changed)
