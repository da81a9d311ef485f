"""Small transformers of every kind, as functions of the same shape, and inputs for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dlexp.models.transformer.encoder import transformer_encoder
from dlexp.models.transformer.encoder_decoder import Transformer, transformer
from dlexp.models.transformer.gpt import Gpt, gpt
from dlexp.models.transformer.positions import KINDS
from dlexp.models.transformer.vit import Vit, vit

VOCABULARY, OUTPUTS, BEGIN = 11, 5, 1
LENGTHS = [7, 2, 5, 1, 7]
SMALL: dict[str, Any] = {"token": 16, "blocks": 2, "heads": 4}
# What differs from the defaults; every one of them in every network.
WAYS: dict[str, dict[str, Any]] = {
    **{kind: {"positions": kind} for kind in KINDS},
    "after": {"norm_place": "after"},
    "llama": {"norm": "rms", "ffn": "swiglu", "positions": "rotary", "kv_heads": 2},
    "one key head": {"kv_heads": 1, "positions": "alibi"},
}


def encoder(**changed: Any) -> nn.Module:
    given = {"vocabulary_size": VOCABULARY, "num_outputs": OUTPUTS, "max_length": 12}
    torch.manual_seed(0)
    return transformer_encoder(**{**given, **SMALL, "dropout": 0.0, **changed})


def language_model(**changed: Any) -> Gpt:
    given = {"vocabulary_size": VOCABULARY, "num_outputs": VOCABULARY, "max_length": 12}
    torch.manual_seed(0)
    return louder(gpt(**{**given, **SMALL, "dropout": 0.0, **changed}))


def translator(**changed: Any) -> Transformer:
    given = {"vocabulary_size": VOCABULARY, "num_outputs": 9, "max_length": 12, "target_max_length": 12}
    torch.manual_seed(0)
    return transformer(**{**given, "begin": BEGIN, **SMALL, "dropout": 0.0, **changed})


def image_model(**changed: Any) -> Vit:
    torch.manual_seed(0)
    return vit(**{"input_shape": (2, 8, 6), "num_outputs": OUTPUTS, "patch": 2, **SMALL, "dropout": 0.0, **changed})


def louder(network: Gpt) -> Gpt:
    """With weights so large that every part shows in the output."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 2:
                parameter.mul_(10)
    return network


def tokens(rows: list[int] | None = None, length: int | None = None, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Padded token ids and their lengths; padding is 0."""
    lengths = torch.tensor(LENGTHS if rows is None else rows)
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(2, 9, (len(lengths), length or int(lengths.max())), generator=generator)
    return values.masked_fill(torch.arange(values.shape[1]) >= lengths[:, None], 0), lengths


# Networks whose outputs belong to positions of tokens, or to sequences: (B, ...) of values and lengths.
Reader = Callable[[Tensor, Tensor], Tensor]


def readers(**changed: Any) -> dict[str, tuple[nn.Module, Reader]]:
    """Each network, and its output for sequences alone."""
    seq, pooled, token = encoder(per_position=True, **changed), encoder(**changed), encoder(pooling="token", **changed)
    model, both = language_model(**changed), translator(**changed)
    previous = tokens([4] * len(LENGTHS), seed=7)[0]

    def translate(values: Tensor, lengths: Tensor) -> Tensor:
        found: Tensor = both(values, lengths, previous[: len(values)])
        return found

    return {
        "tags": (seq, seq), "mean": (pooled, pooled), "token": (token, token), "gpt": (model, model),
        "translator": (both, translate),
    }  # fmt: skip
