"""Networks in NumPy beside torch's of the same words: weights, outputs, gradients, dropout, and curves of a run."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import count, islice
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dlexp.assemble.experiment import assemble
from dlexp.assemble.training import prepare_training
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.engine.step import train_step
from dlexp.models.convnet import simple_cnn
from dlexp.models.recurrent.builders import lstm, rnn
from dlexp.models.scratch.bridge import NumpyModule, layer_by_layer
from dlexp.models.scratch.images import numpy_cnn
from dlexp.models.scratch.sequences import numpy_lstm, numpy_rnn, numpy_transformer
from dlexp.models.transformer.encoder import transformer_encoder
from dlexp.networks.inspection.outputs import innermost, layers_of, recording

Builder = Callable[..., nn.Module]
IMAGES = {"input_shape": (2, 9, 8), "num_outputs": 3, "channels": (4, 6), "fc": 12, "dropout": 0.0}
TOKENS = {"num_outputs": 3, "vocabulary_size": 7}
SERIES = {"num_outputs": 3, "in_channels": 2}
CODER = {"max_length": 6, "token": 8, "heads": 2, "blocks": 2, "ffn": "relu"}
CASES: dict[str, tuple[Builder, Builder, dict[str, Any]]] = {
    "cnn": (numpy_cnn, simple_cnn, {**IMAGES, "dropout": 0.3}),
    "cnn, average pooling, batch norm": (numpy_cnn, simple_cnn, {**IMAGES, "pool": "average", "norm": "batch"}),
    "cnn, norm after tanh": (
        numpy_cnn,
        simple_cnn,
        {**IMAGES, "norm": "batch", "norm_place": "after", "activation": "tanh"},
    ),
    "cnn, layer norm": (numpy_cnn, simple_cnn, {**IMAGES, "norm": "layer"}),
    "cnn, one pixel": (numpy_cnn, simple_cnn, {**IMAGES, "channels": (3,) * 5, "init": "auto", "activation": "elu"}),
    "rnn": (numpy_rnn, rnn, {**TOKENS, "token": 5, "units": 4, "pooling": "last"}),
    "rnn of series": (numpy_rnn, rnn, {**SERIES, "units": 4, "layers": 2, "recurrent_init": "orthogonal"}),
    "lstm": (numpy_lstm, lstm, {**TOKENS, "token": 5, "units": 4, "layers": 1, "output_dropout": 0.3, "dropout": 0.0}),
    "lstm, two directions": (
        numpy_lstm,
        lstm,
        {**TOKENS, "units": 4, "layers": 3, "bidirectional": True, "dropout": 0.3, "pooling": "final"},
    ),
    "lstm by position": (numpy_lstm, lstm, {**SERIES, "units": 4, "layers": 2, "per_position": True, "dropout": 0.0}),
    "lstm, largest": (numpy_lstm, lstm, {**SERIES, "units": 4, "layers": 1, "pooling": "max", "dropout": 0.0}),
    "transformer": (numpy_transformer, transformer_encoder, {**TOKENS, **CODER, "dropout": 0.3}),
    "transformer of series": (
        numpy_transformer,
        transformer_encoder,
        {**SERIES, **CODER, "norm_place": "after", "pooling": "max", "ffn": "silu", "dropout": 0.0},
    ),
    "transformer by position": (
        numpy_transformer,
        transformer_encoder,
        {**SERIES, **CODER, "positions": "none", "per_position": True, "dropout": 0.0},
    ),
}  # fmt: skip
every_case = pytest.mark.parametrize("case", CASES)


def both(case: str) -> tuple[nn.Module, nn.Module]:
    """The network in NumPy and torch's, drawn from the same seed."""
    found = []
    for builder in CASES[case][:2]:
        torch.manual_seed(0)
        found.append(builder(**CASES[case][2]))
    return found[0], found[1]


def inputs_of(case: str) -> tuple[Tensor, ...]:
    given, source = CASES[case][2], torch.Generator().manual_seed(1)
    if "input_shape" in given:
        return (torch.randn(5, *given["input_shape"], generator=source),)
    lengths = torch.tensor([6, 2, 0, 3, 1])
    if "vocabulary_size" in given:
        return torch.randint(0, 7, (5, 6), generator=source), lengths
    return torch.randn(5, 6, 2, generator=source), lengths


def answer(network: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs and gradients in training; the draws of dropout are those of a seed."""
    torch.manual_seed(3)
    x = inputs[0].clone().requires_grad_(inputs[0].is_floating_point())
    y = network.train()(x, *inputs[1:])
    named = {**dict(network.named_parameters()), **({"": x} if x.requires_grad else {})}
    factor = torch.randn(y.shape, generator=torch.Generator().manual_seed(4)) * own_positions(y, inputs)
    gradients = torch.autograd.grad((y * factor).sum(), [*named.values()])
    return y.detach() * own_positions(y, inputs), dict(zip(named, gradients, strict=True))


def own_positions(y: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
    """What is 0 where an output has no meaning: at padding, of outputs at each position (B, T, O)."""
    if y.ndim < 3:
        return torch.ones(())
    return (torch.arange(y.shape[1]) < inputs[1][:, None])[..., None].float()


def assert_same(found: Tensor, expected: Tensor) -> None:
    scale = max(1.0, float(expected.detach().abs().max()))
    torch.testing.assert_close(found, expected, atol=2e-5 * scale, rtol=0)


@every_case
def test_the_same_words_and_seed_are_the_same_network(case: str) -> None:
    network, twin = both(case)
    assert any(isinstance(module, NumpyModule) for module in network.modules())
    assert not any(isinstance(module, NumpyModule) for module in twin.modules())
    weights, expected = network.state_dict(), twin.state_dict()
    assert [*weights] == [*expected]
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    inputs = inputs_of(case)
    (y, gradients), (of_torch, its_gradients) = answer(network, inputs), answer(twin, inputs)
    assert_same(y, of_torch)
    for name, gradient in its_gradients.items():
        assert_same(gradients[name], gradient)
    with torch.no_grad():
        own = own_positions(y, inputs)
        assert_same(network.eval()(*inputs) * own, twin.eval()(*inputs) * own)


@every_case
def test_two_calls_before_a_gradient_are_two_calls(case: str) -> None:
    network, twin = both(case)
    inputs = inputs_of(case)
    other = (inputs[0].flip(1), *inputs[1:])
    found = []
    for each in (network, twin):
        torch.manual_seed(3)
        first, second = each(*inputs), each(*other)
        total = ((first * 2 + second * second) * own_positions(first, inputs)).sum()
        found.append(torch.autograd.grad(total, [*each.parameters()]))
    for gradient, expected in zip(*found, strict=True):
        assert_same(gradient, expected)


@every_case
def test_a_copy_is_a_network_of_its_own(case: str) -> None:
    network, _ = both(case)
    inputs = inputs_of(case)
    network.eval()
    before = network(*inputs)
    copied = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.add_(0.1)
    assert torch.equal(network(*inputs), before)
    assert not torch.equal(copied(*inputs), before)


def test_what_only_looks_at_a_network_still_can() -> None:
    """Maps of attention, and the words of a language model, are those of torch's network of the same weights."""
    network, twin = (each.eval() for each in both("transformer"))
    maps, expected = (each.attention_maps(*inputs_of("transformer")) for each in (network, twin))  # type: ignore[operator]
    assert maps.keys() == expected.keys() != set()
    for name in maps:
        assert_same(maps[name], expected[name])
    assert bool(both("lstm by position")[0].is_causal)
    given: dict[str, Any] = {**TOKENS, "num_outputs": 7, "units": 4, "layers": 2, "per_position": True, "dropout": 0.0}
    torch.manual_seed(0)
    language = numpy_lstm(**given).eval()
    values, lengths = inputs_of("lstm")
    scores, state = language.start(values, lengths)  # type: ignore[operator]
    whole = language(values, lengths)
    assert_same(scores[0], whole[0, -1])
    assert_same(language.step(values[:, 0], state)[0][0], language(torch.cat([values, values[:, :1]], 1))[0, -1])  # type: ignore[operator]


def test_maps_and_filters_of_a_cnn_can_be_looked_at() -> None:
    network, twin = (each.eval() for each in both("cnn"))
    shapes = []
    for each in (network, twin):
        layers = innermost(layers_of(nn.ModuleDict({"model": each})))
        found: dict[str, tuple[int, ...]] = {}
        with recording(layers, lambda name, _, output, own=found: own.setdefault(name, tuple(output.shape))):  # type: ignore[misc]
            each(*inputs_of("cnn"))
        assert found.keys() == layers.keys()
        shapes.append(found)
        assert isinstance(layers["0"], nn.Conv2d)  # whose weights are the filters
    assert shapes[0] == shapes[1] and len(shapes[0]) > 8


@pytest.mark.parametrize("case", ["lstm, two directions", "transformer"])
def test_the_layers_of_a_network_that_is_computed_as_a_whole_can_be_looked_at(case: str) -> None:
    """By those of torch, of the same weights."""
    network, twin = (each.eval() for each in both(case))
    seen = layer_by_layer(nn.ModuleDict({"model": network}))
    assert type(seen["model"]) is type(twin)
    layers = innermost(layers_of(seen))
    found: dict[str, Tensor] = {}
    with recording(layers, lambda name, _, output: found.setdefault(name, output)):
        y = seen["model"](*inputs_of(case))
    assert_same(y, network(*inputs_of(case)))
    assert len(found) > 4
    cnn = both("cnn")[0]
    assert layer_by_layer(cnn) is cnn  # its layers are called one by one


@pytest.mark.parametrize(
    ("builder", "given"),
    [
        (numpy_cnn, {**IMAGES, "norm": "group"}),
        (numpy_cnn, {**IMAGES, "activation": "mish"}),
        (numpy_lstm, {**TOKENS, "pooling": "attention"}),
        (numpy_transformer, {**TOKENS, **CODER, "ffn": "swiglu"}),
        (numpy_transformer, {**TOKENS, **CODER, "positions": "rotary"}),
        (numpy_transformer, {**TOKENS, **CODER, "pooling": "token"}),
    ],
)
def test_what_is_not_written_in_numpy_is_refused(builder: Builder, given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not written in NumPy; available: "):
        builder(**given)


def test_all_that_is_not_written_is_named_at_once() -> None:
    given: dict[str, Any] = {**IMAGES, "norm": "group", "activation": "mish"}
    with pytest.raises(ValueError, match=r"activation=mish is not .*\. norm=group is not written in NumPy"):
        numpy_cnn(**given)


def losses(words: str, updates: int) -> list[float]:
    """The mean training loss after each update."""
    experiment = assemble(load([*words.split(), "trainer.precision=fp32", "trainer.device=cpu"], Catalog(())))
    setup = prepare_training(experiment)
    batches = (batch for epoch in count() for batch in setup.batches.epoch(epoch))
    experiment.networks.train()
    found = []
    for number, batch in enumerate(islice(batches, updates)):
        torch.manual_seed(number)
        train_step(experiment.task, setup.state, [batch], setup.rules)
        found.append(setup.state.sums.means()["loss"])
    return found


CURVES = {
    "cnn": (
        "numpy_cnn",
        "simple_cnn",
        "data=digits model.channels=[8] model.fc=32 model.norm=none model.dropout=0.2",
        40,
    ),
    "lstm": (
        "numpy_lstm",
        "lstm",
        "data=adding data.num_samples=300 data.length=10 model.layers=1 model.dropout=0 optim.lr=0.02",
        30,
    ),
    "transformer": (
        "numpy_transformer",
        "transformer_encoder",
        "data=adding data.num_samples=300 data.length=10 model.ffn=relu model.token=16 model.dropout=0.1",
        30,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CURVES)
def test_the_curves_are_the_same(name: str) -> None:
    """200 updates of each network: benchmarks/training/from_scratch.py."""
    option, twin, words, updates = CURVES[name]
    found, expected = (losses(f"model={each} {words}", updates) for each in (option, twin))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert np.ptp(found) > 0.02
