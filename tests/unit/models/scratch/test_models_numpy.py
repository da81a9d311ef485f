"""The bridge: networks in NumPy are modules of torch, with the weights and the course of their twins."""

from __future__ import annotations

import copy
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from refusals import refused
from torch import Tensor, nn

from dlexp.assemble.experiment import Experiment, assemble
from dlexp.assemble.numpy_networks import device_of
from dlexp.assemble.training import prepare_training
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.engine.evaluate import evaluate
from dlexp.engine.stacking.trial import known_problem
from dlexp.engine.step import train_step
from dlexp.errors import ConfigError, DlexpError
from dlexp.models.mlp import mlp
from dlexp.models.scratch.bridge import NumpyModule, bridged, in_torch
from dlexp.models.scratch.dense import numpy_mlp, numpy_perceptron
from dlexp.models.scratch.translation import in_numpy
from dlexp.networks.activation_checkpointing import recompute_activations
from dlexp.networks.inspection.activations import watched_activations
from dlexp.networks.multiply_adds import counted_products
from dlexp.networks.outside_torch import computes_in_numpy
from dlexp.scratch.activations import Tanh
from dlexp.scratch.dense import Dense
from dlexp.scratch.layer import Array, Layer
from dlexp.tasks.base import Phase

CATALOG = Catalog()
ARGUMENTS: dict[str, Any] = {
    "input_shape": (1, 3, 2), "num_outputs": 4, "hidden": [8, 5], "norm": "batch", "dropout": 0.3, "init": "auto",
}  # fmt: skip


def twins(**changed: Any) -> tuple[nn.Module, nn.Module]:
    """(torch's network, NumPy's), of the same arguments and seed."""
    found = []
    for make in (mlp, numpy_mlp):
        torch.manual_seed(3)
        found.append(make(**ARGUMENTS | changed))
    return found[0], found[1]


def inputs(count: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(count, 1, 3, 2, generator=torch.Generator().manual_seed(seed))


def gradients(network: nn.Module, *given: Tensor) -> dict[str, Tensor]:
    """The gradients of a loss of several calls."""
    network.zero_grad()
    torch.manual_seed(5)
    losses = [network(one).square().mean() for one in given]
    torch.stack(losses).sum().backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def close(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float = 1e-5) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.allclose(value, other[name], rtol=tolerance, atol=tolerance / 10), name


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"norm": "layer", "norm_place": "after", "activation": "tanh", "init": "orthogonal"},
        {"norm": "none", "activation": "elu", "dropout": 0.0},
        {"hidden": [], "norm": "none"},
        *({"activation": name} for name in ("identity", "step", "sigmoid", "leaky_relu_0.2", "silu", "softmax")),
    ],
)
def test_the_same_words_begin_with_the_same_network_and_compute_the_same(changed: dict[str, Any]) -> None:
    twin, network = twins(**changed)
    assert computes_in_numpy(network)
    assert not computes_in_numpy(twin)
    ours, its = network.state_dict(), twin.state_dict()
    assert ours.keys() == its.keys()
    assert all(torch.equal(value, its[name]) for name, value in ours.items())
    close(gradients(network, inputs()), gradients(twin, inputs()))
    close(dict(network.named_buffers()), dict(twin.named_buffers()))
    assert torch.allclose(network.eval()(inputs()), twin.eval()(inputs()), atol=1e-6)


def test_dropout_draws_the_masks_of_torch() -> None:
    layer = in_numpy(nn.Dropout(0.3))
    torch.manual_seed(1)
    found = layer(torch.ones(50, 20))
    torch.manual_seed(1)
    assert torch.equal(found, F.dropout(torch.ones(50, 20), 0.3))
    assert torch.equal(layer.eval()(torch.ones(2)), torch.ones(2))


def test_several_calls_before_a_backward_pass_have_their_own_derivatives() -> None:
    twin, network = twins()
    batches = [inputs(), inputs(4, 1), inputs(9, 2)]
    close(gradients(network, *batches), gradients(twin, *batches))


def test_derivatives_by_the_input_and_of_a_graph_that_is_kept() -> None:
    twin, network = twins()
    found = []
    for model in (twin, network):
        x = inputs().requires_grad_()
        loss = model.eval()(x).square().sum()
        loss.backward(retain_graph=True)
        loss.backward()
        found.append({"x": x.grad, "weight": next(model.parameters()).grad})
    close(*found)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", ["load", "data", "in place", "deepcopy", "double", "functional"])
def test_the_arrays_are_the_memory_of_the_parameters(change: str) -> None:
    twin, network = twins(norm="layer")
    gradients(network, inputs())
    other, _ = twins(norm="layer", init="normal")
    if change == "load":
        network.load_state_dict(other.state_dict())
    elif change == "data":
        for own, new in zip(network.parameters(), other.parameters(), strict=True):
            own.data = new.data.clone()
    elif change == "in place":
        torch._foreach_copy_([p.detach() for p in network.parameters()], [p.detach() for p in other.parameters()])
    elif change == "deepcopy":
        network = copy.deepcopy(network)
        with torch.no_grad():
            next(network.parameters()).fill_(9.0)
        other.load_state_dict(network.state_dict())
    elif change == "double":
        network, other = network.double(), other.double()
        other.load_state_dict(network.state_dict())
    else:
        given: dict[str, Tensor] = dict(other.named_parameters())
        found = torch.func.functional_call(network.eval(), given, (inputs(),))
        assert torch.allclose(found, other.eval()(inputs()), atol=1e-6)
        return
    x = inputs().double() if change == "double" else inputs()
    assert torch.allclose(network.eval()(x), other.eval()(x), atol=1e-6)
    network.train()
    assert not torch.allclose(network.eval()(x), twin.eval()(inputs()).to(x.dtype), atol=1e-3) or change == "double"


def test_what_cannot_be_differentiated_is_refused_in_words() -> None:
    _, network = twins()
    with pytest.raises(DlexpError, match="second derivative") as caught:
        torch.autograd.grad(network(inputs()).sum(), list(network.parameters()), create_graph=True)
    assert caught.value.code == "not-supported"
    loss = network(inputs()).sum()
    with torch.no_grad():
        next(network.parameters()).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_layers_keep_nothing_of_a_call() -> None:
    _, network = twins()
    loss = network(inputs()).sum()
    loss.backward()
    for module in network.modules():
        if isinstance(module, NumpyModule):
            assert module.layer.saved == {}
            assert module.layer.gradients == {}


def test_modules_are_of_the_class_that_they_stand_for() -> None:
    _, network = twins()
    kinds = (nn.Flatten, nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout)
    assert all(isinstance(module, kind) for module, kind in zip(network.children(), kinds, strict=False))
    assert network[1].in_features == 6  # type: ignore[index]
    with pytest.raises(ValueError, match=r"GELU is not written in NumPy.*Tanh"):
        in_numpy(nn.Sequential(nn.Linear(2, 2), nn.GELU()))
    with pytest.raises(ValueError, match="activation=gelu"):
        numpy_mlp(**ARGUMENTS | {"activation": "gelu"})
    with pytest.raises(ValueError, match="norm=rms"):
        numpy_mlp(**ARGUMENTS | {"norm": "rms"})
    with pytest.raises(ValueError, match="the layer has weight, the module weight, bias"):
        bridged(Dense(2, 3, bias=False), nn.Linear(2, 3))


def test_products_in_numpy_are_counted() -> None:
    counts = []
    for model in twins():
        with counted_products() as products:
            model(inputs()).sum().backward()
        counts.append(products.multiply_adds)
    # torch leaves out the derivative by the input of the first layer, 6 samples by 6 features by 8 units.
    assert counts[1] == counts[0] + 6 * 6 * 8


def test_a_network_in_numpy_becomes_one_of_torch_for_other_programs() -> None:
    twin, network = twins()
    gradients(network, inputs())
    gradients(twin, inputs())
    found = in_torch(network)
    assert not computes_in_numpy(found)
    assert [type(module) for module in found] == [type(module) for module in twin]  # type: ignore[attr-defined]
    assert torch.allclose(found.eval()(inputs()), network.eval()(inputs()), atol=1e-6)
    assert in_torch(twin) is twin
    with pytest.raises(DlexpError, match="no layer of its kind") as caught:
        in_torch(nn.Sequential(NumpyModule(Tanh())))
    assert caught.value.code == "not-supported"


class Doubled(Layer):
    """Two dense layers that are added, with a scale of its own: a layer of layers, with a second input."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = (Dense(3, 2, rng=np.random.default_rng(number)) for number in (0, 1))
        self.parameters["scale"] = np.full(2, 2.0, np.float32)

    def children(self) -> dict[str, Layer]:
        return {"left": self.left, "right": self.right}

    def forward(self, x: Array, *others: Array) -> Array:
        y = (self.left.forward(x) + self.right.forward(x)) * self.parameters["scale"]
        self.saved = {"y": y, "factor": others[0][:, None]}
        found: Array = y * self.saved["factor"]
        return found

    def backward(self, dy: Array) -> Array:
        scale, dy = self.parameters["scale"], dy * self.saved["factor"]
        self.gradients = {"scale": (dy * self.saved["y"] / scale).sum(0)}
        found: Array = self.left.backward(dy * scale) + self.right.backward(dy * scale)
        return found


def test_a_layer_of_layers_is_a_module_of_modules() -> None:
    module, factor = NumpyModule(Doubled()), torch.tensor([1.0, 2.0, 0.0])
    assert list(module.state_dict()) == ["scale", "left.weight", "left.bias", "right.weight", "right.bias"]
    x = torch.randn(3, 3).requires_grad_()
    y = module(x, factor, None)
    own = dict(module.named_parameters())
    sides = [F.linear(x, own[f"{side}.weight"], own[f"{side}.bias"]) for side in ("left", "right")]
    expected = (sides[0] + sides[1]) * own["scale"] * factor[:, None]
    assert torch.allclose(y, expected, atol=1e-6)
    found = torch.autograd.grad(y.square().sum(), [x, *module.parameters()])
    wanted = torch.autograd.grad(expected.square().sum(), [x, *module.parameters()])
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def experiment(*words: str) -> Experiment:
    return assemble(load(["data=iris", "model.hidden=[8]", "trainer.device=cpu", *words], CATALOG))


def course(*words: str) -> tuple[list[float], dict[str, Any]]:
    """The loss after each update of an epoch, and the metrics of the validation split."""
    built = experiment(*words)
    setup, losses = prepare_training(built), []
    setup.state.networks.train()
    for batch in setup.batches.epoch(0):
        train_step(built.task, setup.state, [batch], setup.rules)
        losses.append(setup.state.sums.means()["loss"])
    return losses, evaluate(built.task, built.networks, built.split("val"), built.precision, seed=0).metrics


@pytest.mark.parametrize("optim", ["sgd", "adam", "rmsprop", "adagrad"])
def test_an_epoch_of_numpy_is_that_of_torch(optim: str) -> None:
    """Network and optimizer in NumPy, with dropout, normalization, clipping and weight decay.

    A bias before batch normalization has a derivative of 0, whose rounding errors become whole steps if an optimizer
    divides by the size of the gradient: those are without one.
    """
    norm = "batch" if optim == "sgd" else "layer"
    own = {"sgd": "numpy_momentum"}.get(optim, f"numpy_{optim}")
    words = [
        "data.batch_size=8",
        "optim.weight_decay=1e-3",
        "trainer.clip_norm=1",
        "optim.lr=0.01",
        f"model.norm={norm}",
    ]
    losses, metrics = course("model=mlp", f"optim={optim}", *words)
    found, its = course("model=numpy_mlp", f"optim={own}", *words)
    assert len(losses) > 10
    assert found == pytest.approx(losses, rel=1e-4)
    assert its == pytest.approx(metrics, rel=1e-4)


def test_the_criterion_of_the_perceptron_is_its_rule() -> None:
    words = ["experiment=perceptron", "data.gate=xor", "trainer.device=cpu", "model.init=xavier_uniform"]
    built = assemble(load(words, CATALOG))
    setup, network = prepare_training(built), built.networks["model"]
    w, b = (p.detach().numpy().copy() for p in network.parameters())
    mistakes = 0
    for batch in setup.batches.epoch(0):
        train_step(built.task, setup.state, [batch], setup.rules)
        assert isinstance(batch.inputs, Tensor)
        assert isinstance(batch.targets, Tensor)
        x, y = batch.inputs[0].numpy(), int(batch.targets[0])
        error = y - int(float(x @ w[0] + b[0]) > 0)
        w, b, mistakes = w + 0.01 * error * x, b + 0.01 * error, mistakes + abs(error)
    assert mistakes > 3
    found = [p.detach().numpy() for p in network.parameters()]
    assert np.allclose(found[0], w, atol=1e-6)
    assert np.allclose(found[1], b, atol=1e-6)
    assert isinstance(numpy_perceptron(input_shape=(2,), num_outputs=1), nn.Sequential)


def test_settings_that_numpy_cannot_follow_are_refused_together() -> None:
    words = ["model=numpy_mlp", "trainer.precision=bf16", "trainer.compile=true"]
    with pytest.raises(ConfigError) as caught:
        experiment(*words)
    assert {(p.where, p.code) for p in caught.value.problems} == {
        ("trainer.precision", "cannot-combine"),
        ("trainer.compile", "cannot-combine"),
    }
    assert {p.remedy for p in caught.value.problems} == {"Set trainer.precision=fp32", "Set trainer.compile=false"}
    assert experiment("model=numpy_mlp").precision.name == "fp32"


def test_a_network_in_numpy_runs_on_the_cpu_unless_another_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    config = load(["data=iris", "model=numpy_mlp"], CATALOG)
    assert device_of(config).type == "cpu"
    assert device_of(load(["data=iris", "model=mlp"], CATALOG)).type == "cuda"
    with pytest.raises(ConfigError) as caught:
        experiment("model=numpy_mlp", "trainer.device=cuda")
    refused(caught.value, "cannot-combine", "trainer.device")
    assert "Set trainer.device=cpu" in str(caught.value)


def test_an_optimizer_in_numpy_refuses_what_it_cannot_do() -> None:
    from dlexp.optim.optimizers.in_numpy import numpy_adam

    weight = nn.Parameter(torch.zeros(2, device="meta"))
    with pytest.raises(ValueError, match=r"on the CPU.*trainer\.device=cpu"):
        numpy_adam(params=[{"params": [weight]}])
    weight = nn.Parameter(torch.ones(2))
    optimizer = copy.deepcopy(numpy_adam(params=[{"params": [weight]}], lr=0.1))
    copied = optimizer.param_groups[0]["params"][0]
    loss = optimizer.step(lambda: copied.square().sum().backward() or 2.0)
    assert loss == 2.0
    assert copied.tolist() == pytest.approx([0.9, 0.9])
    # torch is told that the weights were changed since the forward pass
    loss = (copied * copied).sum()
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_what_a_layer_saves_is_counted_and_recomputed_by_torch() -> None:
    twin, network = twins(dropout=0.0)
    sizes: list[list[int]] = []
    for model in (twin, network):
        sizes.append([])

        def pack(tensor: Tensor) -> Tensor:
            sizes[-1].append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model(inputs())
    assert sum(sizes[1]) > 100
    assert sum(sizes[0]) / 2 < sum(sizes[1]) < sum(sizes[0]) * 2
    expected = gradients(twin.train(), inputs())
    networks = nn.ModuleDict({"model": network.train()})
    assert recompute_activations(networks) >= 2
    close(gradients(networks["model"], inputs()), expected)


@pytest.mark.parametrize("name", ["relu", "tanh", "elu", "silu", "sigmoid"])
def test_activations_in_numpy_are_seen_like_those_of_torch(name: str) -> None:
    found = []
    for model in twins(activation=name, norm="none", dropout=0.0):
        with watched_activations(nn.ModuleDict({"model": model})) as calls, torch.no_grad():
            model(inputs())
        assert len(calls) == 2
        found.append(calls)
    for own, its in zip(found[1], found[0], strict=True):
        for key in ("place", "function", "after", "unit", "two_sided", "is_gate", "is_end"):
            assert getattr(own, key) == getattr(its, key), key
        assert own.slope is not None
        assert its.slope is not None
        assert torch.allclose(own.slope, its.slope, atol=1e-6)
        assert torch.allclose(own.output, its.output, atol=1e-6)


def test_runs_in_numpy_are_not_stacked() -> None:
    update, networks = MagicMock(), nn.ModuleDict({"model": twins()[1]})
    update.task.phases = {"train": Phase(("model",))}
    update.state.networks = networks
    update.micro_batches = [MagicMock(inputs=inputs())]
    assert "computes in NumPy" in known_problem(update)
