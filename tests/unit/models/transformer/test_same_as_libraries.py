"""With copied weights equal to the layers of torch and to the vision transformer of torchvision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from dlexp.models.transformer.attention import Pattern, pattern
from dlexp.models.transformer.layers import Sizes, TransformerLayer
from dlexp.models.transformer.vit import vit

SIZES = {"token": 16, "heads": 4, "ffn_factor": 2.0}
KEEP = torch.tensor([[True] * 6, [True] * 4 + [False] * 2, [True] * 2 + [False] * 4])


def renamed(peer: dict[str, Tensor], names: dict[str, str]) -> dict[str, Tensor]:
    """The weights of a layer of torch by the names of ours."""
    found = {}
    for name, value in peer.items():
        for theirs, own in names.items():
            if name.startswith(theirs):
                found[own + name.removeprefix(theirs)] = value
    for part in ("weight", "bias"):
        joined = found.pop(f"cross.in_proj_{part}", None)
        if joined is not None:
            found[f"cross.queries.{part}"], found[f"cross.keys_values.{part}"] = joined[:16], joined[16:]
    return found


OF_ENCODER = {
    "self_attn.in_proj_": "attention.queries_keys_values.", "self_attn.out_proj.": "attention.out.",
    "linear1.": "ffn.expand.", "linear2.": "ffn.contract.", "norm1.": "attention_norm.", "norm2.": "ffn_norm.",
}  # fmt: skip
OF_DECODER = OF_ENCODER | {
    "multihead_attn.in_proj_": "cross.in_proj_", "multihead_attn.out_proj.": "cross.out.", "norm2.": "cross_norm.",
    "norm3.": "ffn_norm.",
}  # fmt: skip


def randomized(network: nn.Module) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))


def same(found: Tensor, expected: Tensor, pairs: list[tuple[Tensor, Tensor]], keep: Tensor | None = None) -> None:
    """Equal outputs at kept positions, and equal gradients of pairs of leaves."""
    factor = torch.randn(found.shape)
    if keep is not None:
        factor = factor * keep.unsqueeze(-1)
        torch.testing.assert_close(found[keep], expected[keep], atol=1e-5, rtol=1e-5)
    else:
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    (found * factor).sum().backward()
    (expected * factor).sum().backward()
    for ours, theirs in pairs:
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("ffn", ["relu", "gelu"])
def test_an_encoder_layer_is_that_of_torch(place: str, ffn: str) -> None:
    torch.manual_seed(0)
    peer = nn.TransformerEncoderLayer(16, 4, 32, 0.0, ffn, batch_first=True, norm_first=place == "before")
    randomized(peer)
    own = TransformerLayer(Sizes(**SIZES, ffn=ffn, norm_place=place))  # type: ignore[arg-type]
    own.load_state_dict(renamed(peer.state_dict(), OF_ENCODER))
    x = torch.randn(3, 6, 16)
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    found = own(mine, pattern(KEEP[:, None, None]))
    same(
        found,
        peer(theirs, src_key_padding_mask=~KEEP),
        [(mine, theirs), (own.ffn.expand.weight, peer.linear1.weight)],
        KEEP,
    )


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_decoder_layer_is_that_of_torch(place: str) -> None:
    torch.manual_seed(0)
    peer = nn.TransformerDecoderLayer(16, 4, 32, 0.0, batch_first=True, norm_first=place == "before")
    randomized(peer)
    own = TransformerLayer(Sizes(**SIZES, ffn="relu", norm_place=place), has_cross=True)  # type: ignore[arg-type]
    own.load_state_dict(renamed(peer.state_dict(), OF_DECODER))
    x, memory = torch.randn(3, 5, 16), torch.randn(3, 6, 16)
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    of_mine, of_theirs = memory.clone().requires_grad_(), memory.clone().requires_grad_()
    found = own(mine, Pattern(is_causal=True), of_mine, pattern(KEEP[:, None, None]))
    causal = nn.Transformer.generate_square_subsequent_mask(5)
    expected = peer(theirs, of_theirs, tgt_mask=causal, memory_key_padding_mask=~KEEP)
    same(found, expected, [(mine, theirs), (of_mine, of_theirs), (own.ffn.expand.weight, peer.linear1.weight)])


def test_dropout_is_on_what_a_sublayer_adds() -> None:
    """norm(x + dropout(sublayer(x))): a component that is dropped leaves x, not 0."""
    own = TransformerLayer(Sizes(**SIZES, norm_place="after", dropout=0.999))  # type: ignore[arg-type]
    torch.manual_seed(0)
    x = torch.randn(2, 3, 16)
    expected = own.ffn_norm(own.attention_norm(x))
    assert ((own(x, Pattern()) - expected).abs() < 1e-5).float().mean() > 0.9


def vision_names(name: str) -> str:
    for theirs, own in (
        ("class_token", "first"), ("conv_proj", "patches"), ("encoder.pos_embedding", "positions.embedding.weight"),
        ("encoder.layers.encoder_layer_", "stack.layers."), ("encoder.ln", "stack.norm"), ("heads.head", "head"),
        ("ln_1", "attention_norm"), ("ln_2", "ffn_norm"), ("self_attention.in_proj_", "attention.queries_keys_values."),
        ("self_attention.out_proj", "attention.out"), ("mlp.0", "ffn.expand"), ("mlp.3", "ffn.contract"),
    ):  # fmt: skip
        name = name.replace(theirs, own)
    return name


def test_a_vision_transformer_is_that_of_torchvision() -> None:
    torch.manual_seed(0)
    peer = VisionTransformer(
        image_size=8, patch_size=4, num_layers=2, num_heads=4, hidden_dim=16, mlp_dim=32, num_classes=5
    )
    randomized(peer)
    words: dict[str, Any] = {"token": 16, "blocks": 2, "heads": 4, "ffn_factor": 2.0, "dropout": 0.0}
    own = vit(input_shape=(3, 8, 8), num_outputs=5, patch=4, **words)
    shapes = {name: value.shape for name, value in own.state_dict().items()}
    own.load_state_dict({n: v.reshape(shapes[n]) for key, v in peer.state_dict().items() for n in [vision_names(key)]})
    x = torch.randn(3, 3, 8, 8)
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    pairs = [(mine, theirs), (own.patches.weight, peer.conv_proj.weight)]
    same(own(mine), peer(theirs), pairs)
