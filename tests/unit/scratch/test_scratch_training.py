"""Losses, optimizers and the perceptron in NumPy: beside torch, and at work on the logical functions."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlexp.scratch.activations import Sigmoid
from dlexp.scratch.dense import Dense
from dlexp.scratch.layer import Array, Sequential
from dlexp.scratch.losses import huber_error, sigmoid_cross_entropy, softmax_cross_entropy, squared_error
from dlexp.scratch.optimizers import (
    AdagradRule,
    AdamRule,
    MomentumRule,
    NesterovRule,
    RmspropRule,
    SgdRule,
    UpdateRule,
)
from dlexp.scratch.perceptron import Perceptron

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
GATES = {"and": [0, 0, 0, 1], "or": [0, 1, 1, 1], "xor": [0, 1, 1, 0]}


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


LOSSES: dict[str, tuple[Callable[..., tuple[float, Array]], Callable[..., Tensor], Array]] = {
    "softmax": (softmax_cross_entropy, F.cross_entropy, np.array([0, 2, 1, 2, 0])),
    "sigmoid": (sigmoid_cross_entropy, F.binary_cross_entropy_with_logits, np.linspace(0, 1, 15).reshape(5, 3)),
    "squared": (squared_error, F.mse_loss, normal(5, 3, seed=1)),
    "huber": (lambda z, t: huber_error(z, t, 0.7), lambda z, t: F.huber_loss(z, t, delta=0.7), normal(5, 3, seed=1)),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_a_loss_and_its_derivative_are_those_of_torch(name: str, scale: float) -> None:
    loss, twin, targets = LOSSES[name]
    outputs = scale * normal(5, 3)
    with np.errstate(all="raise", under="ignore"):
        value, derivative = loss(outputs, targets)
    given = torch.from_numpy(outputs).requires_grad_()
    expected = twin(given, torch.from_numpy(targets))
    expected.backward()
    assert given.grad is not None
    assert value == pytest.approx(expected.item(), rel=1e-12)
    assert np.abs(derivative - given.grad.numpy()).max() < 1e-12 * scale
    assert loss(outputs.astype(np.float32), targets)[1].dtype == np.float32


RULES: dict[str, tuple[UpdateRule, Callable[[Any], torch.optim.Optimizer]]] = {
    "sgd": (SgdRule(0.1, 0.01), lambda w: torch.optim.SGD(w, 0.1, weight_decay=0.01)),
    "momentum": (MomentumRule(0.1, 0.8, 0.01), lambda w: torch.optim.SGD(w, 0.1, 0.8, weight_decay=0.01)),
    "nesterov": (NesterovRule(0.1, 0.8, 0.01), lambda w: torch.optim.SGD(w, 0.1, 0.8, 0, 0.01, True)),
    "adagrad": (AdagradRule(0.1, weight_decay=0.01), lambda w: torch.optim.Adagrad(w, 0.1, weight_decay=0.01)),
    "rmsprop": (RmspropRule(0.1, 0.9, 1e-7, 0.01), lambda w: torch.optim.RMSprop(w, 0.1, 0.9, 1e-7, 0.01)),
    "adam": (AdamRule(0.1, (0.8, 0.95), 1e-7, 0.01), lambda w: torch.optim.Adam(w, 0.1, (0.8, 0.95), 1e-7, 0.01)),
}


@pytest.mark.parametrize("name", RULES)
def test_an_optimizer_takes_the_steps_of_torch(name: str) -> None:
    rule, twin_of = RULES[name]
    arrays = {"a": normal(3, 2), "b": normal(4, seed=1)}
    weights = [nn.Parameter(torch.from_numpy(array.copy())) for array in arrays.values()]
    twin = twin_of(weights)
    for number in range(5):
        gradients = {key: normal(*array.shape, seed=number + 2) for key, array in arrays.items()}
        for weight, gradient in zip(weights, gradients.values(), strict=True):
            weight.grad = torch.from_numpy(gradient.copy())
        twin.step()
        before = {key: gradient.copy() for key, gradient in gradients.items()}
        rule.step(arrays, gradients)
        assert all(np.array_equal(gradients[key], before[key]) for key in before)
    for array, weight in zip(arrays.values(), weights, strict=True):
        assert np.abs(array - weight.detach().numpy()).max() < 1e-12


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("gate", GATES)
def test_a_perceptron_learns_what_a_line_divides(gate: str, seed: int) -> None:
    classes = np.array(GATES[gate])
    machine = Perceptron(2, np.random.default_rng(seed), lr=0.01)
    mistakes = machine.learn(CORNERS, classes, epochs=100)
    is_learned = np.array_equal(machine.predict(CORNERS), classes)
    assert (mistakes == 0, is_learned) == ((False, False) if gate == "xor" else (True, True))


def trained_on_xor(scale: float, lr: float, updates: int) -> tuple[float, Array]:
    """The squared error and the outputs of two sigmoid layers after updates on all four corners.

    Args:
        scale: Standard deviation of the weights at first.
        lr: Learning rate.
        updates: Number of updates.
    """
    targets = np.array(GATES["xor"], float)[:, None]
    network = Sequential(Dense(2, 4, dtype="float64"), Sigmoid(), Dense(4, 1, dtype="float64"))
    rng, rule = np.random.default_rng(1), SgdRule(lr)
    for name, array in network.named("parameters").items():
        array[...] = scale * rng.standard_normal(array.shape) if "weight" in name else 0
    for _ in range(updates):
        _, dy = sigmoid_cross_entropy(network.forward(CORNERS), targets)
        network.backward(dy)
        rule.step(network.named("parameters"), network.named("gradients"))
    outputs = Sigmoid().forward(network.forward(CORNERS))
    return squared_error(outputs, targets)[0], outputs


def test_a_hidden_layer_learns_xor_unless_it_begins_with_tiny_weights_and_steps() -> None:
    error, outputs = trained_on_xor(scale=1.0, lr=1.0, updates=2000)
    assert error < 0.01
    assert (outputs[:, 0] > 0.5).tolist() == [False, True, True, False]
    error, _ = trained_on_xor(scale=0.1, lr=0.01, updates=1000)  # as the documents have it: nothing happens
    assert error == pytest.approx(0.25, abs=1e-3)


def test_the_package_loads_numpy_and_nothing_of_torch_or_dlexp_around_it() -> None:
    program = (
        "import importlib, pkgutil, sys, dlexp.scratch\n"
        "names = [m.name for m in pkgutil.iter_modules(dlexp.scratch.__path__)]\n"
        "assert len(names) >= 8\n"
        "for name in names: importlib.import_module(f'dlexp.scratch.{name}')\n"
        "own = [m for m in sys.modules if m.startswith('dlexp.') and not m.startswith('dlexp.scratch')]\n"
        "roots = {m.split('.')[0] for m in sys.modules} & {'torch', 'scipy', 'sklearn', 'pandas'}\n"
        "print(own, roots)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[] set()"


def test_the_programs_of_the_guide_do_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/guides/from-scratch.md").read_text(encoding="utf-8")
    alone, own = (block.partition("```")[0] for block in page.split("```python\n")[1:])
    exec(alone, {"__name__": "guide"})
    assert capsys.readouterr().out.strip() in alone.splitlines()[-1]
    exec(own, {"__name__": "guide"})
    errors = ast.literal_eval(capsys.readouterr().out)
    assert errors.keys() == {"a", "x"}
    assert max(errors.values()) < 1e-6
