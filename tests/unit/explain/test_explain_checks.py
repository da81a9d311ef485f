"""The checks tell explanations of the network from pictures of the input; importances find planted columns."""

from __future__ import annotations

import pytest
import torch
from explain_toys import fit, image_subject, marked_images, trained_cnn
from torch import Tensor, nn

from dlexp.explain.methods import MethodSettings, Subject, check_method
from dlexp.explain.parts import Parts
from dlexp.explain.permutation import correlated_groups, permutation_importance
from dlexp.explain.sanity import (
    Removal,
    explanation_entropy,
    mean_interval,
    rank_correlations,
    removal_curves,
    with_random_weights,
)

torch.set_num_threads(1)
METHODS = ("saliency", "gradient_x_input", "integrated_gradients", "smoothgrad", "gradcam", "occlusion")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_passes_on_a_trained_network(method: str) -> None:
    images, _, _ = marked_images(40, 7)
    network = trained_cnn()
    checks = check_method(method, network, image_subject(network, images), MethodSettings(steps=16, draws=8))
    assert checks.failures() == []
    assert checks.deletion.advantage.low > 0 and checks.insertion.advantage.low > 0
    assert checks.correlation.samples == 40


def test_edges_of_the_input_are_rejected() -> None:
    def edges(network: nn.Module, subject: Subject) -> Tensor:
        found = torch.zeros_like(subject.values)
        found[..., 1:] += (subject.values[..., 1:] - subject.values[..., :-1]).abs()
        return found

    images, _, _ = marked_images(40, 7)
    network = trained_cnn()
    checks = check_method(edges, network, image_subject(network, images), MethodSettings())
    assert checks.entropy_rise.low == checks.entropy_rise.high == 0
    assert checks.correlation.mean == pytest.approx(1)
    assert any("random weights" in text for text in checks.failures())


def test_a_random_order_is_rejected() -> None:
    drawn = torch.Generator().manual_seed(0)

    def noise(network: nn.Module, subject: Subject) -> Tensor:
        return torch.randn(subject.values.shape, generator=drawn)

    images, _, _ = marked_images(40, 7)
    network = trained_cnn()
    checks = check_method(noise, network, image_subject(network, images), MethodSettings())
    assert checks.failures() and all("random order" in text for text in checks.failures())


@pytest.mark.parametrize("method", ["integrated_gradients", "gradcam", "occlusion"])
def test_a_network_trained_on_shuffled_labels_is_explained_otherwise(method: str) -> None:
    from dlexp.explain.methods import attribute

    images, classes, where = marked_images(128, 8)
    torch.manual_seed(5)
    network = with_random_weights(trained_cnn(), 3)
    fit(network, images, classes[torch.randperm(len(classes))], 60)
    few = images[:30]
    trained = trained_cnn()
    first = attribute(method, trained, image_subject(trained, few), MethodSettings(steps=16)).values
    second = attribute(method, network, image_subject(network, few), MethodSettings(steps=16)).values
    assert float(rank_correlations(first, second).mean()) < 0.5
    inside = [part.abs().sum(1)[where[:30]].sum() / part.abs().sum() for part in (first, second)]
    assert inside[0] > inside[1]


def test_random_weights_are_new_in_every_layer_and_the_network_stays() -> None:
    network = trained_cnn()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    found, again = with_random_weights(network, 0), with_random_weights(network, 0)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    for (name, own), other, same in zip(
        network.named_parameters(), found.parameters(), again.parameters(), strict=True
    ):
        assert not torch.equal(own, other), name
        assert torch.equal(other, same)
    alone = with_random_weights(nn.ParameterList([nn.Parameter(torch.tensor(2.0))]), 0)
    assert all(bool(value.isfinite().all()) for value in alone.parameters())


def test_entropy_of_known_histograms() -> None:
    flat = torch.full((1, 1, 4, 4), 3.0)
    two = torch.tensor([0.0] * 8 + [1.0] * 8).view(1, 1, 4, 4)
    assert explanation_entropy(torch.cat([flat, two])).tolist() == pytest.approx([0.0, 0.6931472])


def test_curves_of_a_sum_are_known() -> None:
    values = torch.tensor([[4.0, 3.0, 2.0, 1.0]])
    removal = Removal(values, torch.zeros(4), Parts.columns([1] * 4), fractions=4)
    found = removal_curves(lambda x, _: x.sum(1), removal, values, 0)
    assert found.method == (10.0, 6.0, 3.0, 1.0, 0.0)
    assert found.advantage.mean >= 0
    inserted = removal_curves(
        lambda x, _: x.sum(1), Removal(values, torch.zeros(4), Parts.columns([1] * 4), True, 4), values, 0
    )
    assert inserted.method == (0.0, 4.0, 7.0, 9.0, 10.0)


def test_an_interval_of_one_sample_is_unknown() -> None:
    one = mean_interval(torch.tensor([2.0]))
    assert one.mean == 2 and one.low != one.low
    many = mean_interval(torch.tensor([1.0, 3.0]))
    assert (many.low, many.high) == pytest.approx((2 - 1.959964, 2 + 1.959964))


@pytest.mark.parametrize("seed", range(20))
def test_the_planted_column_ranks_first(seed: int) -> None:
    values = torch.randn(150, 5, generator=torch.Generator().manual_seed(seed))
    planted = seed % 5
    truth = 2 * values[:, planted] + 0.3 * values[:, (planted + 1) % 5]

    def losses(x: Tensor) -> Tensor:
        return (2 * x[:, planted] + 0.3 * x[:, (planted + 1) % 5] - truth).abs()

    groups = [(column,) for column in range(5)]
    found = permutation_importance(losses, values, Parts.columns([1] * 5), groups, seed)
    ranked = sorted(found, key=lambda each: -each.increase.mean)
    assert ranked[0].columns == (planted,) and ranked[0].increase.low > 0
    assert all(each.increase.mean == 0 for each in ranked[2:])


def test_one_hot_features_are_shuffled_together_and_copies_are_grouped() -> None:
    drawn = torch.Generator().manual_seed(0)
    category = torch.eye(3)[torch.randint(0, 3, (80,), generator=drawn)]
    number = torch.randn(80, 1, generator=drawn)
    values = torch.cat([category, number, 2 * number + 0.01 * torch.randn(80, 1, generator=drawn)], 1)
    parts = Parts.columns([3, 1, 1])
    assert correlated_groups(values, parts) == [(1, 2)]
    seen: list[Tensor] = []

    def losses(x: Tensor) -> Tensor:
        seen.append(x)
        return x[:, 3]

    permutation_importance(losses, values, parts, [(0,), (1, 2)], 0, repeats=2)
    assert all(bool((x[:, :3].sum(1) == 1).all()) for x in seen)
    assert torch.allclose(seen[-1][:, 4], 2 * seen[-1][:, 3], atol=0.05)
    constant = torch.ones(10, 3)
    assert correlated_groups(constant, Parts.columns([1] * 3)) == []
