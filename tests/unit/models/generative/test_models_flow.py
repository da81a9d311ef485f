"""A flow is exactly invertible, its log determinant is autograd's, and its density integrates to one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from dlexp.models.generative.flow import Coupling, Flow, Pixels, flow
from dlexp.runtime.device import readable_cudnn_flags

TABLE, IMAGE = (2,), (1, 4, 4)


def untrained(shape: tuple[int, ...], spread: float = 0.3, **options: Any) -> Flow:
    """A flow whose couplings are no identities, in float64."""
    torch.manual_seed(0)
    made = flow(input_shape=shape, couplings=4, hidden=(8,), activation="tanh", **options).double()
    for parameter in made.parameters():
        parameter.data.add_(spread * torch.randn_like(parameter))
    return made


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        (TABLE, {}),
        ((5,), {"bins": 4}),
        (IMAGE, {}),
        (IMAGE, {"bins": 4}),
        (TABLE, {"conditional": True, "num_classes": 3}),
    ],
)
def test_noise_and_samples_lead_to_each_other(shape: tuple[int, ...], options: Mapping[str, Any]) -> None:
    made = untrained(shape, **options)
    classes = torch.eye(3, dtype=torch.float64)[torch.arange(7) % 3] if "conditional" in options else None
    samples = 0.1 + 0.8 * torch.rand(7, *shape, dtype=torch.float64)
    noise, _ = made.to_noise(samples, torch.zeros_like(samples), classes)
    assert noise.shape == (7, samples[0].numel())
    assert (made.from_noise(noise, classes) - samples).abs().max() < 1e-9
    if classes is not None:
        assert (made.from_noise(noise, 0 * classes) - samples).abs().max() > 0.01


@pytest.mark.parametrize("bins", [None, 4])
@pytest.mark.parametrize("shape", [TABLE, (5,), IMAGE])
def test_the_log_determinant_is_that_of_autograds_jacobian(shape: tuple[int, ...], bins: int | None) -> None:
    made, x = untrained(shape, bins=bins), torch.rand(1, *shape, dtype=torch.float64) * 0.8 + 0.1

    def through(flat: Tensor) -> Tensor:
        return made.to_noise(flat.view(1, *shape), torch.zeros(1, *shape, dtype=torch.float64))[0][0]

    jacobian = torch.autograd.functional.jacobian(through, x.flatten())
    _, found = made.to_noise(x, torch.zeros_like(x))
    assert float(found.detach()) == pytest.approx(float(torch.linalg.slogdet(jacobian)[1]), abs=1e-4)


@pytest.mark.parametrize("bins", [None, 4])
def test_a_density_of_the_plane_integrates_to_one(bins: int | None) -> None:
    made, step = untrained(TABLE, 0.2, bins=bins), 0.05
    axis = torch.arange(-15, 15, step, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        total = made(points).double().exp().sum() * step**2
    assert float(total) == pytest.approx(1, abs=1e-3)


def test_a_density_of_pixels_integrates_to_one_over_their_range() -> None:
    made, step = untrained((1, 1, 2)), 0.004
    axis = torch.arange(step / 2, 1, step, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis).view(-1, 1, 1, 2)
    with torch.no_grad():
        total = made.log_density(points, torch.zeros_like(points)).double().exp().sum() * step**2
    # the logit of [0.025, 0.975] leaves out the tails
    noise, _ = made.to_noise(
        torch.tensor([[[[0.0, 0.0]]], [[[1.0, 1.0]]]], dtype=torch.float64), torch.zeros(2, 1, 1, 2)
    )
    assert noise.isfinite().all()
    assert 0.5 < float(total) <= 1.001


def test_a_new_flow_changes_nothing() -> None:
    made, x = flow(input_shape=(3,), hidden=(4,)), torch.randn(5, 3)
    noise, log_det = made.to_noise(x, torch.zeros_like(x))
    assert torch.allclose(noise, x, atol=1e-5)
    assert float(log_det.detach().abs().max()) < 1e-5
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(1)
    assert torch.allclose(made(x), expected, atol=1e-5)


def test_half_of_the_numbers_stays_in_a_coupling_and_every_number_changes_in_two() -> None:
    made = untrained((6,))
    couplings = [step for step in made.steps if isinstance(step, Coupling)]
    for first, second in zip(couplings[::2], couplings[1::2], strict=True):
        assert int(first.stays.sum()) == 3
        assert torch.equal(first.stays, ~second.stays)
        x = torch.randn(2, 6, dtype=torch.float64)
        assert torch.equal((first(x)[0] == x).all(0), first.stays)


def test_the_first_halves_of_an_image_are_a_checkerboard() -> None:
    coupling = next(step for step in flow(input_shape=(1, 4, 4)).steps if isinstance(step, Coupling))
    board = coupling.stays.view(4, 4)
    assert not (board[:, 1:] == board[:, :-1]).any()
    assert not (board[1:] == board[:-1]).any()


def test_levels_are_spread_and_put_back() -> None:
    pixels, levels = Pixels(17), torch.arange(17).double()[None] / 16
    for place in (0.0, 0.5, 0.999):
        spread = pixels.spread(levels, torch.full_like(levels, place))
        assert torch.allclose(spread, (torch.arange(17).double() + place) / 17, atol=1e-9)
        assert torch.allclose(pixels.inverse(pixels(spread + 1e-9)[0]), levels)


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"input_shape": (1,)}, "at least 2"), ({"input_shape": (2,), "conditional": True}, "with classes")],
)
def test_what_cannot_be_built_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        flow(**options)


@pytest.mark.parametrize(
    "changed", [{"couplings": 2}, {"hidden": (9,)}, {"activation": "relu"}, {"bins": 3}, {"conditional": True}]
)
def test_every_key_changes_the_density(changed: dict[str, Any]) -> None:
    x, found = torch.randn(5, 4), []
    for options in ({}, changed):
        torch.manual_seed(0)
        usual: dict[str, Any] = {"num_classes": 3, "couplings": 4, "hidden": (8,), "activation": "tanh"}
        made = flow(input_shape=(4,), **usual | options)
        torch.manual_seed(1)
        for parameter in made.parameters():
            parameter.data.normal_(0, 0.3)
        classes = torch.eye(3)[torch.arange(5) % 3] if made.num_classes else None
        found.append(made(x, classes))
    assert not torch.equal(*found)


@pytest.mark.parametrize("shape", [(3,), (1, 3, 3)])
@pytest.mark.parametrize("bins", [4, None])
def test_a_trace_has_a_free_batch_size_and_nothing_that_onnx_lacks(shape: tuple[int, ...], bins: int | None) -> None:
    model = flow(input_shape=shape, couplings=2, hidden=(4,), bins=bins).eval()
    free = ({0: torch.export.Dim("batch")},)
    with readable_cudnn_flags():  # another test may have set a precision
        found = torch.export.export(model, (torch.rand(5, *shape),), dynamic_shapes=free, strict=False)
    inputs = torch.rand(3, *shape)
    assert torch.equal(found.module()(inputs), model(inputs))
    assert not [node.name for node in found.graph.nodes if "searchsorted" in str(node.target)]


def test_every_parameter_learns() -> None:
    model = flow(input_shape=(3,), couplings=2, hidden=(4,))
    model(torch.randn(5, 3)).sum().backward()
    assert all(value.grad is not None for value in model.parameters())
