"""Every planted fault is found, and nothing else: signs, single elements, cut graphs; kinks are no faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlexp.networks.inspection.float64 import in_float64
from dlexp.networks.inspection.gradient_check import CheckSettings, TensorCheck, check_gradients


class Planted(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a mask."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0] * ctx.saved_tensors[0], None


def checks(
    loss: Callable[[], Tensor], tensors: Mapping[str, Tensor], seed: int = 0, **settings: Any
) -> dict[str, TensorCheck]:
    generator = torch.Generator().manual_seed(seed)
    return {one.name: one for one in check_gradients(loss, tensors, CheckSettings(**settings), generator)}


def network(seed: int, middle: Callable[[], nn.Module] = nn.Tanh) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(7, 11), middle(), nn.Linear(11, 5), middle(), nn.Linear(5, 3)).double()
    return net, torch.randn(6, 7, dtype=torch.float64), torch.randint(3, (6,))


def loss_of(net: nn.Module, x: Tensor, y: Tensor, name: str = "", factor: Tensor | None = None) -> Callable[[], Tensor]:
    """Cross entropy, in which the gradient of one parameter is multiplied by `factor`."""

    def loss() -> Tensor:
        weights: dict[str, Tensor] = dict(net.named_parameters())
        if factor is not None:
            weights[name] = Planted.apply(weights[name], factor)
        return nn.functional.cross_entropy(torch.func.functional_call(net, weights, (x,)), y)

    return loss


@pytest.mark.parametrize("middle", [nn.Tanh, nn.ReLU, nn.Sigmoid, nn.LeakyReLU])
def test_a_planted_sign_error_is_always_found_and_named(middle: Callable[[], nn.Module]) -> None:
    found = 0
    for seed in range(25):
        net, x, y = network(seed, middle)
        names = [name for name, _ in net.named_parameters()]
        name = names[seed % len(names)]
        loss = loss_of(net, x, y, name, torch.tensor(-1.0, dtype=torch.float64))
        made = checks(loss, dict(net.named_parameters()), seed)
        wrong = [one.name for one in made.values() if one.verdict == "wrong"]
        reached = float(torch.autograd.grad(loss_of(net, x, y)(), dict(net.named_parameters())[name])[0].abs().max())
        assert reached > 1e-6
        assert wrong == [name], (seed, wrong)
        found += 1
    assert found == 25


@pytest.mark.parametrize("place", [0, 500, 99_999])
def test_one_wrong_element_of_many_is_found(place: int) -> None:
    """The documents' check compared the first hundred and took the others for 0."""
    torch.manual_seed(0)
    weight = torch.randn(100_000, dtype=torch.float64).requires_grad_()
    scale = torch.randn(100_000, dtype=torch.float64).sign()
    factor = torch.ones(100_000, dtype=torch.float64)

    def loss() -> Tensor:
        found: Tensor = (Planted.apply(weight, factor) * scale).tanh().mean()
        return found

    assert checks(loss, {"weight": weight})["weight"].verdict == "ok"
    factor[place] = -1.0
    assert checks(loss, {"weight": weight})["weight"].verdict == "wrong"


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99, 2.0])
def test_a_wrong_factor_is_found(share: float) -> None:
    net, x, y = network(1)
    made = checks(loss_of(net, x, y, "2.weight", torch.tensor(share).double()), dict(net.named_parameters()))
    assert [one.name for one in made.values() if one.is_wrong] == ["2.weight"]


@pytest.mark.parametrize("middle", [nn.Tanh, nn.ReLU, nn.Hardswish, nn.PReLU, nn.Softplus])
def test_right_gradients_are_right(middle: Callable[[], nn.Module]) -> None:
    for seed in range(20):
        net, x, y = network(seed, middle)
        made = checks(loss_of(net, x, y), dict(net.named_parameters()), seed)
        assert {one.verdict for one in made.values()} <= {"ok"}, seed
        assert max(one.worst.error for one in made.values() if one.worst) < 1e-5


def test_kinks_are_no_errors_and_do_not_hide_one() -> None:
    """ReLU and the absolute value at exactly 0, where the gradient is one of many."""
    x = torch.tensor([0.0, 0.0, 0.0, 1.5, -2.0], dtype=torch.float64).requires_grad_()
    weight = torch.tensor([1.0, 2.0, -3.0, 0.5, 0.7], dtype=torch.float64)
    for function in (torch.relu, torch.abs):
        made = checks(lambda of=function: (of(x) * weight).sum(), {"x": x})["x"]  # type: ignore[misc]
        assert made.verdict == "ok"
        assert made.kinks >= 3
        assert made.compared >= 2
    sign = torch.tensor(-1.0, dtype=torch.float64)
    wrong = checks(lambda: (torch.relu(Planted.apply(x, sign)) * weight).sum(), {"x": x})["x"]
    assert wrong.verdict == "wrong"
    all_kinks = torch.zeros(4, dtype=torch.float64).requires_grad_()
    assert checks(lambda: all_kinks.abs().sum(), {"x": all_kinks})["x"].verdict == "unchecked"
    assert checks(lambda: all_kinks.square().sum(), {"x": all_kinks})["x"].verdict == "ok"  # flat, and no kink


def test_a_sign_error_at_a_kink_is_still_an_error() -> None:
    """The gradient must lie between the slopes of both sides."""
    x = torch.zeros(1, dtype=torch.float64).requires_grad_()
    factor = torch.tensor(-1.0, dtype=torch.float64)

    def loss() -> Tensor:
        y = Planted.apply(x, factor)
        return (torch.where(y >= 0, 3 * y, y)).sum()

    assert checks(loss, {"x": x})["x"].verdict == "wrong"


def test_what_the_loss_does_not_depend_on_is_unused_and_a_cut_graph_is_wrong() -> None:
    used, unused, cut = (torch.ones(3, dtype=torch.float64).requires_grad_() for _ in range(3))
    made = checks(lambda: (used * cut.detach()).square().sum(), {"used": used, "unused": unused, "cut": cut})
    assert {name: one.verdict for name, one in made.items()} == {"used": "ok", "unused": "unused", "cut": "wrong"}


def test_a_gradient_that_is_not_finite_is_wrong() -> None:
    x = torch.zeros(3, dtype=torch.float64).requires_grad_()
    made = checks(lambda: torch.sqrt(x * x).sum(), {"x": x})["x"]
    assert made.verdict == "wrong"
    assert made.worst is not None
    assert made.worst.error == float("inf")


def test_weights_are_put_back_to_the_bit_and_no_gradient_is_left() -> None:
    net, x, y = network(3)
    other = nn.Parameter(torch.randn(4, 6, dtype=torch.float64).t())  # not contiguous
    tensors: dict[str, Tensor] = {**dict(net.named_parameters()), "other": other}
    before = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    base = loss_of(net, x, y)
    made = checks(lambda: base() + other.square().mean() + (other * other).sum(), tensors)
    assert {one.verdict for one in made.values()} == {"ok"}
    assert all(torch.equal(tensor, before[name]) for name, tensor in tensors.items())
    assert all(tensor.grad is None for tensor in tensors.values())


def test_small_gradients_are_compared_too() -> None:
    """The error is relative, so a loss of 1e-8 is checked as one of 1."""
    x = torch.randn(5, dtype=torch.float64).requires_grad_()
    sign = torch.tensor(-1.0, dtype=torch.float64)
    for size in (1e-8, 1.0, 1e8):
        made = checks(lambda size=size: (x.sin() * size).sum(), {"x": x})["x"]  # type: ignore[misc]
        assert made.verdict == "ok"
        made = checks(lambda size=size: (Planted.apply(x, sign).sin() * size).sum(), {"x": x})["x"]  # type: ignore[misc]
        assert made.verdict == "wrong"


def test_a_tensor_of_one_element() -> None:
    x = torch.tensor(0.3, dtype=torch.float64).requires_grad_()
    assert checks(lambda: x.exp(), {"x": x})["x"].verdict == "ok"


def test_casts_to_fewer_digits_give_float64() -> None:
    x = torch.randn(4, dtype=torch.float64).requires_grad_()

    def loss() -> Tensor:
        y = x.float().sin() + x.to(torch.float32) * torch.ones(4, dtype=torch.float16)
        return (y.half() @ torch.rand(4).new_ones(4)).sum() + nn.functional.one_hot(torch.tensor(2)).float().sum()

    assert loss is not None
    before = torch.get_default_dtype()
    with in_float64():
        assert loss().dtype == torch.float64
        assert checks(loss, {"x": x})["x"].verdict == "ok"
    assert torch.get_default_dtype() == before
    with pytest.raises(ZeroDivisionError), in_float64():
        raise ZeroDivisionError
    assert torch.get_default_dtype() == before
    assert x.float().dtype == torch.float32
