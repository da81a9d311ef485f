"""Multiply-adds of one pass against formulas by hand: B = 2 samples of L = 5 steps of D = 16 numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import DeformConv2d

from dlexp.networks.multiply_adds import counted_products

B, L, D = 2, 5, 16
Call = Callable[..., Any]


def steps() -> Tensor:
    return torch.randn(B, L, D)


def bag(indices: Tensor, table: Tensor, factors: Tensor | None = None) -> Tensor:
    return F.embedding_bag(indices, table, mode="sum", per_sample_weights=factors)


def attention() -> Call:
    layer = nn.MultiheadAttention(D, 2, batch_first=True)
    return lambda x: layer.eval()(x, x, x, need_weights=False)


ATTENTION = 4 * B * L * D * D + 2 * B * L * L * D  # four projections; scores and mixture
CASES: dict[str, tuple[Call, tuple[Tensor, ...], int]] = {
    "attention": (F.scaled_dot_product_attention, (torch.randn(B, 2, L, 8),) * 3, 2 * B * 2 * L * L * 8),
    "attention layer": (attention(), (steps(),), ATTENTION),
    "encoder layer": (
        nn.TransformerEncoderLayer(D, 2, 32, batch_first=True).eval(),
        (steps(),),
        ATTENTION + 2 * B * L * D * 32,
    ),
    "lstm": (
        nn.LSTM(D, 8, num_layers=2, batch_first=True, bidirectional=True),
        (steps(),),
        B * L * 2 * 4 * 8 * ((D + 8) + (16 + 8)),
    ),
    "lstm with projection": (nn.LSTM(D, 8, proj_size=3, batch_first=True), (steps(),), B * L * (32 * (D + 3) + 24)),
    "gru": (nn.GRU(D, 8, batch_first=True), (steps(),), B * L * 3 * 8 * (D + 8)),
    "rnn": (nn.RNN(D, 8, batch_first=True), (steps(),), B * L * 8 * (D + 8)),
    "lstm cell": (nn.LSTMCell(D, 8), (torch.randn(B, D),), B * 4 * 8 * (D + 8)),
    "bilinear": (nn.Bilinear(4, 5, 6), (torch.randn(B, 4), torch.randn(B, 5)), B * 4 * 5 * 6),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2), (torch.randn(B, 4, 5, 5),), B * 25 * 4 * 6 * 9),
    "transposed groups": (nn.ConvTranspose2d(4, 6, 3, groups=2), (torch.randn(B, 4, 5, 5),), B * 25 * 4 * 3 * 9),
    "groups": (nn.Conv2d(4, 6, 3, groups=2), (torch.randn(B, 4, 5, 5),), B * 9 * 6 * 2 * 9),
    "one dimension": (nn.Conv1d(4, 6, 3, dilation=2), (torch.randn(B, 4, 5),), B * 1 * 4 * 6 * 3),
    "three dimensions": (nn.Conv3d(4, 6, 3), (torch.randn(B, 4, 5, 5, 5),), B * 27 * 4 * 6 * 27),
    "deformed": (
        DeformConv2d(4, 6, 3, groups=2),
        (torch.randn(B, 4, 5, 5), torch.randn(B, 18, 3, 3)),
        B * 9 * 6 * 2 * 9,
    ),
    "einsum": (
        lambda a, b: torch.einsum("bij,bkj->bik", a, b),
        (torch.randn(B, 3, 4), torch.randn(B, 5, 4)),
        B * 3 * 5 * 4,
    ),
    "matrix and vector": (torch.matmul, (torch.randn(B, 3, 4), torch.randn(4)), B * 12),
    "dot": (torch.dot, (torch.randn(4), torch.randn(4)), 4),
    "sum of products": (torch.addbmm, (torch.randn(3, 5), torch.randn(B, 3, 4), torch.randn(B, 4, 5)), B * 60),
    "vector added": (torch.addmv, (torch.randn(3), torch.randn(3, 4), torch.randn(4)), 12),
    "linear": (nn.Linear(4, 3), (torch.randn(2, 5, 4),), 120),
    "bag": (bag, (torch.randint(0, 10, (B, 3)), torch.randn(10, 4)), 0),
    "weighted bag": (bag, (torch.randint(0, 10, (B, 3)), torch.randn(10, 4), torch.rand(B, 3)), B * 3 * 4),
}


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_every_kind_of_product_is_counted(name: str, mode: Callable[[], Any]) -> None:
    call, inputs, by_hand = CASES[name]
    with mode(), counted_products() as found:
        call(*inputs)
    assert found.multiply_adds == by_hand


@pytest.mark.parametrize("name", ["lstm", "transposed", "linear"])
def test_the_backward_pass_is_two_products_more(name: str) -> None:
    call, inputs, by_hand = CASES[name]
    with counted_products() as found:
        output = call(*(x.clone().requires_grad_() for x in inputs))
        (output[0] if isinstance(output, tuple) else output).sum().backward()
    assert found.multiply_adds == 3 * by_hand


def test_the_fused_encoder_layer_is_back_behind_the_body() -> None:
    for is_fused in (True, False):
        torch.backends.mha.set_fastpath_enabled(is_fused)
        with counted_products():
            pass
        assert torch.backends.mha.get_fastpath_enabled() is is_fused
    torch.backends.mha.set_fastpath_enabled(True)
