"""What an output must not depend on: the future, padding, other rows; and what it must depend on."""

from __future__ import annotations

import pytest
import torch
from small_transformers import (
    LENGTHS,
    WAYS,
    Reader,
    encoder,
    image_model,
    language_model,
    readers,
    tokens,
    translator,
)
from torch import Tensor, nn

NAMES = ("tags", "mean", "token", "gpt", "translator")
ALL = [(name, way) for name in NAMES for way in WAYS]


def network_of(name: str, way: str) -> tuple[nn.Module, Reader]:
    network, reader = readers(**WAYS[way])[name]
    return network.eval(), reader


def own(name: str, found: Tensor, lengths: Tensor) -> Tensor:
    """The outputs that belong to sequences: all, or those of positions that are no padding."""
    return found[torch.arange(found.shape[1]) < lengths[:, None]] if name in ("tags", "gpt") else found


@pytest.mark.parametrize("way", WAYS)
def test_the_future_changes_nothing_at_all(way: str) -> None:
    """Exactly: the same numbers, bit by bit."""
    model, both = language_model(**WAYS[way]).eval(), translator(**WAYS[way]).eval()
    values, lengths = tokens([8, 8])
    source, of_source = tokens([5, 3])
    changed_somewhere = {"gpt": False, "translator": False}
    for cut in range(1, 8):
        other = values.clone()
        other[:, cut:] = (other[:, cut:] + 1) % 9
        pairs = {
            "gpt": (model(values, lengths), model(other, lengths)),
            "translator": (both(source, of_source, values), both(source, of_source, other)),
        }
        for name, (first, second) in pairs.items():
            assert torch.equal(first[:, :cut], second[:, :cut]), (name, cut)
            changed_somewhere[name] |= not torch.equal(first[:, cut:], second[:, cut:])
    assert all(changed_somewhere.values())


@pytest.mark.parametrize(("name", "way"), ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_padding_changes_nothing(name: str, way: str, dtype: torch.dtype) -> None:
    _, reader = network_of(name, way)
    values, lengths = tokens()
    padding = torch.arange(values.shape[1]) >= lengths[:, None]
    longer = torch.cat([values, torch.zeros(len(values), 3, dtype=torch.int64)], 1)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        expected = own(name, reader(values, lengths), lengths)
        other = own(name, reader(values.masked_fill(padding, 8), lengths), lengths)
        more = own(name, reader(longer, lengths), lengths)
    scale = expected.float().abs().max().clamp(min=1)
    assert (expected - other).abs().max() <= 1e-6 * scale
    assert (expected - more).abs().max() <= (1e-6 if dtype == torch.float32 else 0.03) * scale


@pytest.mark.parametrize(("name", "way"), ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_rows_and_their_order_change_nothing(name: str, way: str, dtype: torch.dtype) -> None:
    """Attention over the axis of the batch fails here."""
    _, reader = network_of(name, way)
    values, lengths = tokens()
    order = torch.tensor([3, 0, 4, 2, 1]) if name != "translator" else torch.arange(5)
    other = values.clone()
    other[1:] = (other[1:] + 3) % 9
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        expected = reader(values, lengths)
        moved = reader(values[order], lengths[order])
        beside = reader(other, lengths)
        alone = reader(values[:1], lengths[:1])
    scale = expected.float().abs().max().clamp(min=1)
    exact, near = 1e-6 * scale, (1e-6 if dtype == torch.float32 else 0.03) * scale
    real = own(name, expected[order], lengths[order])
    assert (real - own(name, moved, lengths[order])).abs().max() <= exact
    assert (expected[0] - beside[0]).abs().max() <= exact
    assert (expected[0] - alone[0]).abs().max() <= near
    assert not torch.equal(expected[1], beside[1])


@pytest.mark.parametrize(("name", "way"), ALL)
def test_a_sequence_without_positions_gives_numbers(name: str, way: str) -> None:
    if name == "gpt":
        return
    network, reader = network_of(name, way)
    network.train()
    values, lengths = tokens([4, 0, 2])
    found = own(name, reader(values, lengths), lengths)
    assert found.isfinite().all()
    found.square().sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize(("name", "way"), ALL)
def test_every_parameter_learns(name: str, way: str) -> None:
    """A layer whose result is thrown away has no gradient."""
    network, reader = network_of(name, way)
    values, lengths = tokens()
    found = reader(values, lengths)
    (found * torch.randn(found.shape, generator=torch.Generator().manual_seed(3))).sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []
    for name, parameter in network.named_parameters():
        if name.endswith("queries_keys_values.weight"):
            assert parameter.grad is not None
            parts = parameter.grad.split(16 if len(parameter) == 48 else 4)
            assert all(part.any() for part in parts), name


def test_every_parameter_of_a_vision_transformer_learns() -> None:
    for pooling in ("token", "mean", "max"):
        network = image_model(pooling=pooling)
        x = torch.randn(3, 2, 8, 6)
        network(x).square().sum().backward()
        assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_series_is_read_as_well() -> None:
    values, lengths = torch.randn(5, 7, 3), torch.tensor(LENGTHS)
    for changed in WAYS.values():
        network = encoder(vocabulary_size=None, in_channels=3, **changed).eval()
        found = network(values, lengths)
        assert found.shape == (5, 5)
        torch.testing.assert_close(network(values[1:2, :2], None), found[1:2], atol=1e-6, rtol=0)
    both = translator(vocabulary_size=None, in_channels=3)
    assert both(values, lengths, tokens()[0]).shape == (5, 7, 9)


def test_the_order_of_tokens_counts() -> None:
    for kind in WAYS:
        network = encoder(**WAYS[kind]).eval()
        values, _ = tokens([6])
        first, second, reverse = (
            network(values[:, order], None) for order in ([0, 1, 2, 3, 4, 5], [1, 0, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0])
        )
        assert torch.allclose(first, second, atol=1e-5) == (kind == "none")
        # Distances are the same from behind.
        assert torch.allclose(first, reverse, atol=1e-5) == (kind in ("none", "alibi", "one key head"))


def blocks_moved(x: Tensor) -> Tensor:
    """Two patches of 2 x 2 pixels in exchange."""
    other = x.clone()
    other[:, :, :2, :2], other[:, :, 4:6, 2:4] = x[:, :, 4:6, 2:4], x[:, :, :2, :2]
    return other


@pytest.mark.parametrize("pooling", ["token", "mean", "max"])
def test_an_image_and_its_patches_count(pooling: str) -> None:
    """One document's network does not see the image; another scrambles the patches."""
    torch.manual_seed(0)
    x = torch.randn(3, 2, 8, 6)
    network = image_model(pooling=pooling).eval()
    found = network(x)
    assert not torch.allclose(found, network(torch.randn(3, 2, 8, 6)), atol=1e-3)
    assert not torch.allclose(found, network(blocks_moved(x)), atol=1e-4)
    torch.testing.assert_close(network(x[[2, 0, 1]]), found[[2, 0, 1]], atol=1e-6, rtol=0)
    torch.testing.assert_close(network(x[:1]), found[:1], atol=1e-6, rtol=0)
    without = image_model(pooling=pooling, positions="none").eval()
    torch.testing.assert_close(without(x), without(blocks_moved(x)), atol=1e-6, rtol=0)


def test_a_patch_holds_the_pixels_of_its_place_alone() -> None:
    network = image_model()
    x = torch.randn(1, 2, 8, 6, requires_grad=True)
    patches: Tensor = network.patches(x).flatten(2).transpose(1, 2)
    for number in range(12):
        (gradient,) = torch.autograd.grad(patches[0, number].square().sum(), x, retain_graph=True)
        row, column = 2 * (number // 3), 2 * (number % 3)
        expected = torch.zeros(8, 6, dtype=torch.bool)
        expected[row : row + 2, column : column + 2] = True
        for channel in range(2):
            assert torch.equal(gradient[0, channel] != 0, expected)
