"""The share that is zeroed while training is the one that the key names, in every model that has such a key."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from test_models import KEYS, built, own_values
from torch import Tensor

CHANCES = ("dropout", "conv_dropout", "pool_dropout", "attention_dropout", "drop_path")
SHARE = 0.2


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The measured share of zeros of each step that zeroes by chance, in the order of the forward pass.

    Each is asked what it makes of 20,000 ones, and hands its own input on as it is.
    """
    import torchvision.ops

    found: list[float] = []

    def measured(real: Callable[..., Tensor], *shape: int) -> Callable[..., Tensor]:
        def step(value: Tensor, *args: Any, **options: Any) -> Tensor:
            options.pop("inplace", None)
            out = real(torch.ones(shape), *args[:2], **options)
            kept = out.max() if out.max() > out.min() or out.min() > 0 else torch.inf
            whole = out.flatten(2)
            assert torch.equal(whole.min(-1).values, whole.max(-1).values)  # a map stays or goes as a whole
            found.append(float((whole[..., 0] != kept).float().mean()))
            return value

        return step

    def attention(queries: Tensor, keys: Tensor, values: Tensor, dropout_p: float = 0.0) -> Tensor:
        many = torch.zeros(2000, 10, 1)  # ten keys that count alike, which come out as their weights
        weights = real_attention(many, many, torch.eye(10).expand(2000, 10, 10), dropout_p=dropout_p)
        found.append(float((weights == 0).float().mean()))
        return values

    real_attention = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", attention)
    monkeypatch.setattr(F, "dropout", measured(F.dropout, 200, 100, 1))
    monkeypatch.setattr(F, "alpha_dropout", measured(F.alpha_dropout, 200, 100, 1))
    monkeypatch.setattr(F, "dropout2d", measured(F.dropout2d, 2000, 10, 3, 3))
    depth = sys.modules["torchvision.ops.stochastic_depth"]
    real_depth = torchvision.ops.stochastic_depth

    def row_by_row(value: Tensor, p: float, mode: str, training: bool = True) -> Tensor:
        assert mode == "row"
        out = real_depth(torch.ones(20_000, 1), p, mode, training)
        found.append(float((out == 0).float().mean()))
        return value

    monkeypatch.setattr(depth, "stochastic_depth", row_by_row)
    return found


WITH_CHANCES = [(option, key) for option, key in KEYS if key in CHANCES]


def test_the_models_with_dropout_are_known() -> None:
    assert len(WITH_CHANCES) == 22


@pytest.mark.parametrize(("option", "key"), WITH_CHANCES)
def test_the_share_that_is_zeroed_is_the_one_that_was_asked_for(option: str, key: str, shares: list[float]) -> None:
    tabular = own_values(option).get("_inputs_") == "tabular"
    shape = (7,) if tabular else (1, 32, 32)
    facts: dict[str, Any] = {"categorical": ((1, 3), (5, 2))} if tabular else {}
    others = {other: 0.0 for other in CHANCES if other in own_values(option) and other != key}
    network = built(option, shape, 3, **{key: SHARE}, **others, **facts)
    with torch.no_grad():
        network.train()(torch.randn(4, *shape))
    zeroed = [share for share in shares if share > 0]
    if key == "drop_path":  # it grows from 0 to the last residual branch, or to the one behind it
        assert zeroed == pytest.approx(sorted(zeroed), abs=0.02)
        assert zeroed[-1] == pytest.approx(SHARE, abs=0.05)
        assert zeroed[0] < 0.1
    else:
        assert zeroed
        assert zeroed == pytest.approx([SHARE] * len(zeroed), abs=0.02)
    shares.clear()
    with torch.no_grad():
        network.eval()(torch.randn(4, *shape))
    assert not any(shares)


@pytest.mark.parametrize(("kind", "name"), [("unit", "mlp"), ("alpha", "mlp_selu"), ("alpha", "block_cnn")])
def test_so_is_that_of_every_kind_of_dropout(kind: str, name: str, shares: list[float]) -> None:
    shape = (7,) if name.startswith("mlp") else (1, 12, 12)
    beside = {"activation": "selu", "norm": "none"} if kind == "alpha" else {}
    network = built(name, shape, 3, dropout=SHARE, dropout_kind=kind, **beside)
    network.train()(torch.randn(4, *shape))
    assert shares
    assert shares == pytest.approx([SHARE] * len(shares), abs=0.02)
