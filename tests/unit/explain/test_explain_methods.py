"""Attributions against closed forms and planted truths; the network is left as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
import torch
from explain_toys import image_subject, linear, marked_images, trained_cnn
from torch import Tensor, nn

from dlexp.explain.attention import attention_rollout, rollout_of_patches
from dlexp.explain.gradcam import grad_cam
from dlexp.explain.gradients import gradient_x_input, integrated_gradients, saliency, smoothgrad
from dlexp.explain.methods import ATTRIBUTION_METHODS, MethodSettings, Subject, attribute
from dlexp.explain.occlusion import exact_shapley, occluded_parts, occlusion
from dlexp.explain.parts import Parts
from dlexp.explain.score import NotExplained, row_numbers, undisturbed

torch.set_num_threads(1)


def test_of_a_linear_model_the_attributions_are_weight_times_difference() -> None:
    drawn = torch.Generator().manual_seed(0)
    values, weights, baseline = (torch.randn(*shape, generator=drawn).double() for shape in ((5, 7), (7,), (7,)))
    score, parts, truth = linear(weights), Parts.columns([1] * 7), weights * (values - baseline)
    found, error = integrated_gradients(score, values, baseline, steps=3)
    assert torch.allclose(found, truth, atol=1e-12) and error.abs().max() < 1e-12
    assert torch.allclose(occluded_parts(score, values, baseline, parts), truth, atol=1e-12)
    assert torch.allclose(exact_shapley(score, values, baseline, parts), truth, atol=1e-12)
    assert torch.allclose(gradient_x_input(score, values), weights * values, atol=1e-12)
    assert torch.equal(saliency(score, values), weights.abs().expand(5, 7))
    assert torch.allclose(smoothgrad(score, values, range(5), 0), weights.abs().expand(5, 7), atol=1e-12)


def test_one_hot_columns_are_left_out_together() -> None:
    values, weights = torch.tensor([[1.0, 0.0, 0.0, 2.0]]), torch.tensor([3.0, 5.0, 7.0, -1.0])
    parts = Parts.columns([3, 1])
    found = occluded_parts(linear(weights), values, torch.zeros(4), parts)
    assert found.tolist() == [[1.0, 1.0, 1.0, -2.0]]
    assert torch.allclose(exact_shapley(linear(weights), values, torch.zeros(4), parts), found)


def test_shapley_values_share_an_interaction_and_sum_to_the_change() -> None:
    values = torch.tensor([[2.0, 3.0, 5.0]]).double()
    found = exact_shapley(lambda x, _: x[:, 0] * x[:, 1] + x[:, 2], values, torch.zeros(3), Parts.columns([1] * 3))
    assert torch.allclose(found, torch.tensor([[3.0, 3.0, 5.0]]).double())


def test_occlusion_of_an_image_covers_its_edges_and_a_pixel_alone_is_exact() -> None:
    weights = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    images = torch.ones(2, 2, 5, 7)
    found = occlusion(linear(weights), images, torch.zeros(1), window=1)
    assert torch.allclose(found[0].sum(0), weights.sum(0), atol=1e-5)
    assert bool(occlusion(linear(weights.abs() + 1), images, torch.zeros(1), window=3).min() > 0)


def test_integrated_gradients_need_no_more_memory_with_more_steps_and_become_complete() -> None:
    network, (images, _, _) = trained_cnn(), marked_images(6, 2)
    subject, largest = image_subject(network, images), 0

    def watched(values: Tensor, rows: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, len(values))
        return subject.score(network)(values, rows)

    _, error = integrated_gradients(watched, images, torch.zeros(1), 64, at_once=16)
    assert largest <= 16
    scores = subject.score(network)(images, row_numbers(images))
    change = scores - subject.score(network)(torch.zeros_like(images), row_numbers(images))
    assert bool((error.abs() < 0.01 * change.abs()).all()), (error, change)


@pytest.mark.parametrize("method", ["integrated_gradients", "gradcam", "occlusion"])
def test_nine_tenths_of_the_strongest_attributions_are_in_the_planted_mark(method: str) -> None:
    network, (images, classes, where) = trained_cnn(), marked_images(60, 3)
    subject = image_subject(network, images)
    right = network(images).argmax(1) == classes
    assert right.float().mean() > 0.97
    found = attribute(method, network, subject, MethodSettings()).values
    assert found.shape == images.shape
    sizes, strongest = found.abs().sum(1).flatten(1)[right].topk(9, dim=1)
    inside = (sizes * where.flatten(1)[right].gather(1, strongest)).sum(1) / sizes.sum(1)
    assert float(inside.mean()) >= 0.9, float(inside.mean())


def test_noise_of_a_sample_does_not_depend_on_the_others() -> None:
    network, (images, _, _) = trained_cnn(), marked_images(4, 4)
    subject = image_subject(network, images)
    whole = attribute("smoothgrad", network, subject, MethodSettings(draws=4)).values
    one = Subject(
        images[2:3], [2], subject.baseline, subject.parts, True, lambda n: lambda x, r: subject.score(n)(x, r + 2)
    )
    assert torch.allclose(attribute("smoothgrad", network, one, MethodSettings(draws=4)).values, whole[2:3], atol=1e-6)


@pytest.mark.parametrize("method", [name for name in ATTRIBUTION_METHODS if name not in ("attention", "shapley")])
def test_the_network_is_left_as_it_was(method: str) -> None:
    network, (images, _, _) = trained_cnn(), marked_images(3, 5)
    subject, first, norm = image_subject(network, images), cast(nn.Conv2d, network[0]), network[1]
    assert first.bias is not None
    try:
        network.train()
        norm.eval()
        first.weight.grad = torch.full_like(first.weight, 7.0)
        first.bias.requires_grad_(False)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        state = torch.get_rng_state()
        once = attribute(method, network, subject, MethodSettings(draws=2)).values
        twice = attribute(method, network, subject, MethodSettings(draws=2)).values
        assert torch.equal(once, twice), "dropout is on"
        assert network.training and not norm.training and first.training
        assert bool((first.weight.grad == 7).all()) and not first.bias.requires_grad and first.weight.requires_grad
        assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
        assert torch.equal(state, torch.get_rng_state())
        assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())
    finally:
        network.eval()
        first.weight.grad = None
        first.bias.requires_grad_(True)


def test_hooks_go_when_the_score_raises() -> None:
    network = trained_cnn()

    def broken(values: Tensor, rows: Tensor) -> Tensor:
        network(values)
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"), undisturbed(network):
        grad_cam(network, broken, torch.zeros(1, 1, 12, 12), torch.zeros(1, dtype=torch.int64))
    assert not any(module._forward_hooks for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())


class Shared(nn.Module):
    """Uses one convolution and one ReLU twice; with and without changes in place, the same function."""

    def __init__(self, is_inplace: bool) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.again = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu, self.head = nn.ReLU(is_inplace), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.again(self.relu(self.first(x))))
        found: Tensor = self.head(self.relu(self.again(x)).mean((2, 3)))
        return found


def test_grad_cam_is_the_closed_form_with_shared_modules_and_changes_in_place() -> None:
    images, rows = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(2)
    plain, inplace = Shared(False), Shared(True)
    maps, place = grad_cam(plain, lambda x, _: plain(x)[:, 1], images, rows)
    assert place == ("relu", 2)
    found, _ = grad_cam(inplace, lambda x, _: inplace(x)[:, 1], images, rows)
    assert torch.allclose(maps, found, atol=1e-7)
    states = plain.relu(plain.again(plain.relu(plain.again(plain.relu(plain.first(images))))))
    weights = plain.head.weight[1] / 64  # of a mean over 64 pixels
    truth = (weights[None, :, None, None] * states).sum(1, keepdim=True).relu()
    assert torch.allclose(maps, truth, atol=1e-6)
    asked, _ = grad_cam(inplace, lambda x, _: inplace(x)[:, 1], images, rows, ("again", 0))
    assert not torch.allclose(asked, found)


def test_grad_cam_without_evidence_is_zero_and_not_nan() -> None:
    network = Shared(True)
    with torch.no_grad():
        network.head.weight.copy_(-network.head.weight.abs())
    found, _ = grad_cam(network, lambda x, _: network(x)[:, 0], torch.randn(2, 1, 8, 8), torch.arange(2))
    assert torch.equal(found, torch.zeros(2, 1, 8, 8))


def test_grad_cam_names_another_method_for_a_network_without_maps() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    with pytest.raises(NotExplained, match="--method integrated_gradients") as raised:
        grad_cam(network, lambda x, _: network(x)[:, 0], torch.zeros(1, 1, 8, 8), torch.arange(1))
    assert raised.value.code == "not-supported"


def _resnet() -> nn.Module:
    from torchvision.models import resnet18

    return cast(nn.Module, resnet18(num_classes=4))


def _torchvision_vit() -> nn.Module:
    from torchvision.models.vision_transformer import VisionTransformer

    return cast(nn.Module, VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=4))


def _own_vit() -> nn.Module:
    from dlexp.models.transformer.vit import vit

    return vit(input_shape=(3, 32, 32), num_outputs=4, patch=8, token=16, blocks=2, heads=2)


def _swin() -> nn.Module:
    from torchvision.models.swin_transformer import SwinTransformer

    return cast(nn.Module, SwinTransformer([2, 2], 16, [1, 1], [2, 2], [4, 4], num_classes=4))


@pytest.mark.parametrize("make", [_resnet, _torchvision_vit, _own_vit, _swin])
def test_grad_cam_chooses_a_layer_of_any_network(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    network = make().eval()
    for module in network.modules():
        if isinstance(module, nn.Linear) and module.out_features == 4:
            nn.init.normal_(module.weight)  # published programs begin with a head of zeros
    found, place = grad_cam(network, lambda x, _: network(x)[:, 1], torch.randn(2, 3, 32, 32), torch.arange(2))
    assert found.shape == (2, 3, 32, 32) and place[0]
    assert bool(found.isfinite().all()) and bool(found.count_nonzero())


def test_attention_rollout_of_one_layer_and_of_two() -> None:
    first = torch.tensor([[0.5, 0.5], [0.2, 0.8]])[None, None]
    step = 0.5 * first[0, 0] + 0.5 * torch.eye(2)
    assert torch.allclose(attention_rollout({"a": first}, True)[0], step[0])
    assert torch.allclose(attention_rollout({"a": first, "b": first}, False)[0], (step @ step).mean(0))
    pooled = torch.tensor([[0.3, 0.7]])[None, None]
    assert torch.allclose(attention_rollout({"pooling": pooled}, False)[0], pooled[0, 0, 0])
    with pytest.raises(NotExplained, match="--method occlusion"):
        attention_rollout({}, False)


def test_patches_behind_a_class_token_become_an_image() -> None:
    found = rollout_of_patches(torch.tensor([[9.0, 1.0, 2.0, 3.0, 4.0]]), (1, 4, 4))
    assert found[0, 0].tolist() == [[1, 1, 2, 2]] * 2 + [[3, 3, 4, 4]] * 2
    with pytest.raises(NotExplained):
        rollout_of_patches(torch.ones(1, 7), (1, 4, 4))


def test_a_score_without_inputs_gives_zeros_and_too_many_columns_are_refused() -> None:
    values = torch.ones(2, 13)
    assert not saliency(lambda x, _: torch.ones(len(x)), values).any()
    with pytest.raises(NotExplained, match="at most 12"):
        exact_shapley(linear(torch.ones(13)), values, torch.zeros(13), Parts.columns([1] * 13))


def test_tokens_have_no_gradient_and_are_hidden_one_by_one() -> None:
    tokens = torch.tensor([[1, 2, 3]])
    network = nn.Linear(1, 1)
    subject = Subject(
        tokens, [0], torch.tensor(0), Parts.positions((3,)), False, lambda _: lambda x, r: (x == 2).sum(1).double()
    )
    assert attribute("occlusion", network, subject, MethodSettings()).values.tolist() == [[0.0, 1.0, 0.0]]
    with pytest.raises(NotExplained, match="--method occlusion"):
        attribute("saliency", network, subject, MethodSettings())
