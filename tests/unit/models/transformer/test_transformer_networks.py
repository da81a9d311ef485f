"""Published sizes, initial weights, maps of attention, shared weights, and what cannot be built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
import yaml
from small_transformers import (
    VOCABULARY,
    WAYS,
    encoder,
    image_model,
    language_model,
    tokens,
    translator,
)
from torch import Tensor, nn

from dlexp.config.files.catalog import Catalog
from dlexp.config.nodes import resolve
from dlexp.networks.layers import hidden_matrices
from dlexp.optim.parameter_groups import parameter_groups, parameter_shares

CATALOG = Catalog()


def option(name: str, **given: Any) -> nn.Module:
    values = yaml.safe_load(CATALOG.options("model")[name].path.read_text(encoding="utf-8"))
    arguments = {key: value for key, value in values.items() if not key.startswith("_")}
    network = resolve(values["_target_"], ())(**arguments, **given)
    assert isinstance(network, nn.Module)
    return network


WORDS = {"vocabulary_size": 10_000, "num_outputs": 10_000, "max_length": 20, "target_max_length": 15}
# Those of the documents and of the papers.
PUBLISHED: list[tuple[str, dict[str, Any], int]] = [
    ("transformer_base", WORDS, 59_508_496),
    ("gpt2", {"vocabulary_size": 50_257, "num_outputs": 50_257, "max_length": 64}, 124_439_808),
    ("vit_b16", {"input_shape": (3, 224, 224), "num_outputs": 1000}, 86_567_656),
]


@pytest.mark.parametrize(("name", "given", "expected"), PUBLISHED)
def test_the_size_is_the_published_one(name: str, given: dict[str, Any], expected: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in option(name, **given).parameters()) == expected


def test_the_other_document_has_its_layers() -> None:
    with torch.device("meta"):
        network = option("transformer_256", **WORDS)
    lines = 2 * 10_000 * 256 + 2 * 100 * 256 + 256 * 10_000 + 10_000  # embeddings, positions, output
    one = 4 * (256 * 256 + 256)
    ffn, norm = 256 * 1024 * 2 + 1024 + 256, 2 * 256
    assert sum(p.numel() for p in network.parameters()) == lines + 6 * (one + ffn + 2 * norm) + 6 * (
        2 * one + ffn + 3 * norm
    )
    with pytest.raises(ValueError, match="max_positions=100 must be at least 120"):
        option("transformer_256", **WORDS | {"max_length": 120})


def every_map(changed: dict[str, Any]) -> dict[str, tuple[Mapping[str, Tensor], Tensor]]:
    """Maps of each network, and which keys each may use, (B, 1, 1, K)."""
    values, lengths = tokens()
    previous, of_previous = tokens([4, 2, 4, 1, 3], seed=2)
    kept = (torch.arange(7) < lengths[:, None])[:, None, None]
    target = (torch.arange(4) < of_previous[:, None])[:, None, None]
    both = translator(**changed).eval().attention_maps(values, lengths, previous, of_previous)
    return {
        "encoder": (encoder(per_position=True, **changed).eval().attention_maps(values, lengths), kept),  # type: ignore[operator]
        "gpt": (language_model(**changed).eval().attention_maps(values, lengths), kept),
        "own": ({name: found for name, found in both.items() if name.endswith("self")}, target),
        "source": ({name: found for name, found in both.items() if not name.endswith("self")}, kept),
    }


@pytest.mark.parametrize("way", WAYS)
def test_maps_sum_to_one_over_what_is_kept(way: str) -> None:
    for name, (maps, kept) in every_map(WAYS[way]).items():
        for found in maps.values():
            assert (found.masked_fill(kept, 0) == 0).all()
            torch.testing.assert_close(found.sum(-1), torch.ones(found.shape[:3]))
            if name in ("gpt", "own"):
                assert (found.triu(1) == 0).all()
    names = {name: list(maps) for name, (maps, _) in every_map(WAYS[way]).items()}
    assert names["encoder"] == ["encoder.0", "encoder.1"]
    assert names["gpt"] == ["decoder.0.self", "decoder.1.self"] == names["own"]
    assert names["source"] == ["encoder.0", "encoder.1", "decoder.0.cross", "decoder.1.cross"]


def test_maps_of_a_class_token_and_of_an_image() -> None:
    values, lengths = tokens()
    first = encoder(pooling="token").eval().attention_maps(values, lengths)  # type: ignore[operator]
    assert [found.shape for found in first.values()] == [(5, 4, 8, 8)] * 2
    image = image_model().eval().attention_maps(torch.randn(2, 2, 8, 6))
    assert [found.shape for found in image.values()] == [(2, 4, 13, 13)] * 2


@pytest.mark.parametrize("way", WAYS)
def test_the_path_of_the_maps_is_the_fast_one(way: str) -> None:
    """The states behind the last layer, by the path that keeps the weights and by the fused one."""
    values, lengths = tokens()
    network = encoder(per_position=True, **WAYS[way]).eval()
    kept = torch.arange(7) < lengths[:, None]
    with torch.no_grad():
        fast, _ = network._states(values, lengths, None)  # type: ignore[operator]
        slow, _ = network._states(values, lengths, [])  # type: ignore[operator]
    torch.testing.assert_close(fast[kept], slow[kept], atol=1e-5, rtol=0)


def test_weights_are_shared_where_they_are_tied() -> None:
    for network, name in ((language_model(), "entry"), (translator(tied=True), "target_entry")):
        assert network.head.weight is getattr(network, name).vectors.weight
    free = language_model(tied=False)
    assert free.head.weight is not free.entry.vectors.weight
    assert (
        sum(p.numel() for p in free.parameters()) - sum(p.numel() for p in language_model().parameters())
        == 16 * VOCABULARY
    )


def test_weights_begin_as_published() -> None:
    torch.manual_seed(0)
    big = option("gpt", vocabulary_size=200, num_outputs=200, max_length=50)
    for name, parameter in big.named_parameters():
        if parameter.ndim == 2:
            added = name.endswith(("attention.out.weight", "ffn.contract.weight"))
            expected = 0.02 / 8**0.5 if added else 0.02
            assert parameter.std().item() == pytest.approx(expected, rel=0.05), name
        elif "norm" not in name:
            assert not parameter.any(), name
    large = encoder(token=128)
    matrix = large.stack.layers[0].attention.queries_keys_values.weight  # type: ignore[union-attr, index]
    for part in matrix.chunk(3):
        assert part.abs().max().item() == pytest.approx((6 / 256) ** 0.5, rel=0.01)


def test_decay_spares_what_it_is_told_to_spare() -> None:
    network = language_model()
    groups = parameter_groups(
        [network], False, parameter_shares({"model": network}, None, [{"match": "entry.*", "weight_decay": 0.0}])
    )
    decayed = {id(p) for group in groups if group.get("weight_decay") != 0.0 for p in group["params"]}
    found = {name for name, p in network.named_parameters() if id(p) in decayed}
    parts = ("attention.queries_keys_values", "attention.out", "ffn.expand", "ffn.contract")
    assert found == {f"stack.layers.{n}.{part}.weight" for n in range(2) for part in parts}
    assert {id(p) for p in hidden_matrices([network])} == decayed


@pytest.mark.parametrize(
    ("make", "changed", "words"),
    [
        (encoder, {"heads": 3}, "token=16 must be a multiple of heads=3. Heads that fit: 1, 2, 4, 8, 16"),
        (encoder, {"positions": "absolute"}, "available: sinusoidal, learned"),
        (encoder, {"pooling": "final"}, "mean, max, token"),
        (encoder, {"ffn": "tanh"}, "swiglu"),
        (encoder, {"norm": "batch"}, "layer, rms"),
        (encoder, {"norm_place": "middle"}, "before, after"),
        (encoder, {"positions": "rotary", "heads": 16}, "even size"),
        (encoder, {"vocabulary_size": None}, "requires sequences"),
        (encoder, {"positions": "learned", "max_positions": 3}, "model.max_positions=12"),
        (language_model, {"num_outputs": 3}, "model=transformer_encoder"),
        (
            image_model,
            {"patch": 5},
            "patch=5 must divide images of 8x6 pixels. Patches that fit: 1, 2; set model.patch=2",
        ),
        (image_model, {"pooling": "last"}, "token, mean, max"),
        (image_model, {"input_shape": (7,)}, "requires images"),
    ],
)
def test_what_cannot_be_built_is_named(make: Any, changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(**changed)


def test_learned_positions_end_and_others_do_not() -> None:
    values, _ = tokens([20])
    for kind in ("sinusoidal", "rotary", "alibi", "none"):
        assert encoder(positions=kind)(values).isfinite().all()
    with pytest.raises(ValueError, match="20 positions is longer than max_positions=12"):
        encoder(positions="learned")(values)
    assert encoder(positions="sinusoidal", token=15, heads=3)(values).shape == (1, 5)


@pytest.mark.parametrize(
    ("shape", "side"), [((1, 8, 8), 2), ((3, 32, 32), 4), ((1, 28, 28), 4), ((3, 64, 32), 8), ((3, 7, 7), 7)]
)
def test_the_patch_is_chosen_for_the_image(shape: tuple[int, int, int], side: int) -> None:
    network = image_model(input_shape=shape, patch=None)
    assert network.patch == side
    with pytest.raises(ValueError, match="Resize"):
        network(torch.randn(1, shape[0], shape[1] + side, shape[2]))
