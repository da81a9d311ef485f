"""Transformers under the tools: ONNX, counting, number formats, the compiler, recomputation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_transformers import encoder, image_model, language_model, tokens, translator
from torch import Tensor, nn

from dlexp.networks.activation_checkpointing import recompute_activations
from dlexp.networks.multiply_adds import counted_products
from dlexp.networks.summary import summarize_layers
from dlexp.runtime.device import readable_cudnn_flags

BATCH, LENGTH = torch.export.Dim("batch"), torch.export.Dim("length", max=12)


def exported(network: nn.Module, arguments: tuple[Tensor, ...], axes: tuple[dict[int, Any], ...]) -> Any:
    """A session of ONNX Runtime that runs the network."""
    onnxruntime = pytest.importorskip("onnxruntime")
    with readable_cudnn_flags():
        program = torch.export.export(network, arguments, dynamic_shapes=axes)
        found = torch.onnx.export(program, (), verbose=False)
    assert found is not None
    content = found.model_proto.SerializeToString()
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def answer(session: Any, arguments: tuple[Tensor, ...]) -> Tensor:
    named = {given.name: value.numpy() for given, value in zip(session.get_inputs(), arguments, strict=True)}
    return torch.from_numpy(session.run(None, named)[0])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "network",
    [
        pytest.param(encoder(), marks=pytest.mark.exhaustive),
        encoder(pooling="token", positions="rotary", kv_heads=2),
        encoder(per_position=True, positions="alibi"),
    ],
    ids=["mean", "token", "tags"],
)
def test_an_exported_encoder_reads_any_batch_of_any_length(network: nn.Module) -> None:
    network.eval()
    session = exported(network, tokens(), ({0: BATCH, 1: LENGTH}, {0: BATCH}))
    for rows in ([7, 2, 5, 1, 7], [3, 9], [4, 0, 1]):
        values, lengths = tokens(rows)
        found, expected = answer(session, (values, lengths)), network(values, lengths)
        if expected.ndim == 3:
            kept = torch.arange(values.shape[1]) < lengths[:, None]
            found, expected = found[kept], expected[kept]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_an_exported_language_model_reads_any_batch_of_any_length(positions: str) -> None:
    network = language_model(positions=positions).eval()
    session = exported(network, (tokens()[0],), ({0: BATCH, 1: LENGTH},))
    for rows in ([7, 7, 7], [12]):
        values, _ = tokens(rows)
        torch.testing.assert_close(answer(session, (values,)), network(values), atol=1e-4, rtol=1e-4)


def test_attention_is_counted() -> None:
    """A layer of T tokens of size D: 4 T D^2 for projections, 2 T^2 D for attention, 8 T D^2 for the rest."""
    network = encoder(blocks=1, per_position=True).eval()
    values, lengths = tokens([7, 7])
    with torch.no_grad(), counted_products() as counter:
        network(values, lengths)
    assert counter.multiply_adds == 2 * (12 * 7 * 16 * 16 + 2 * 7 * 7 * 16 + 7 * 16 * 5)
    rows = summarize_layers(nn.ModuleDict({"model": network}), lambda nets: nets["model"](values, lengths))
    own = {row.name: row.multiply_adds for row in rows}
    assert own["model.stack.layers.0.attention"] == 2 * 2 * 7 * 7 * 16
    assert sum(row.multiply_adds for row in rows) == counter.multiply_adds
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("kind", ["encoder", "gpt", "translator", "vit"])
def test_recomputed_activations_give_the_same_gradients(kind: str) -> None:
    values, lengths = tokens()
    makers: dict[str, Callable[[], tuple[nn.Module, tuple[Tensor, ...]]]] = {
        "encoder": lambda: (encoder(dropout=0.2, attention_dropout=0.2), (values, lengths)),
        "gpt": lambda: (language_model(dropout=0.2), (values,)),
        "translator": lambda: (translator(dropout=0.2), (values, lengths, values)),
        "vit": lambda: (image_model(dropout=0.2), (torch.randn(2, 2, 8, 6),)),
    }
    network, given = makers[kind]()
    other = copy.deepcopy(network)
    assert recompute_activations(nn.ModuleDict({"model": other})) == (4 if kind == "translator" else 2)
    for one in (network, other):
        torch.manual_seed(4)
        one(*given).square().sum().backward()
    for first, second in zip(network.parameters(), other.parameters(), strict=True):
        assert first.grad is not None and second.grad is not None
        assert torch.equal(first.grad, second.grad)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param("encoder", marks=pytest.mark.exhaustive), "gpt"])
def test_the_compiler_gives_the_same_numbers(kind: str) -> None:
    values, lengths = tokens()
    network = encoder(positions="rotary").eval() if kind == "encoder" else language_model().eval()
    given = (values, lengths) if kind == "encoder" else (values,)
    compiled = torch.compile(network, dynamic=True)
    torch.testing.assert_close(compiled(*given), network(*given), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_smaller_numbers_are_enough(dtype: torch.dtype) -> None:
    """Masks are no numbers that overflow."""
    values, lengths = tokens([7, 2, 0])
    for network, given in (
        (encoder(positions="alibi"), (values, lengths)),
        (encoder(positions="rotary", norm="rms"), (values, lengths)),
        (translator(), (values, lengths, values)),
    ):
        with torch.autocast("cpu", dtype):
            found = network(*given)
        torch.testing.assert_close(found.float(), network(*given), atol=0.1, rtol=0.1)
        found.float().square().sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
