"""Statistics and recordings of layers: dead units are no zeros, one element has a deviation, NaN is counted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dlexp.networks.inspection.components import neighbor_agreement, principal_components
from dlexp.networks.inspection.outputs import as_found, first_tensor, innermost, layers_of, recording
from dlexp.networks.inspection.statistics import ActivationStatistics, TensorStatistics


def test_one_element_has_a_deviation_of_0_and_nan_is_counted() -> None:
    assert TensorStatistics.of(torch.tensor([2.0])).std == 0.0
    found = TensorStatistics.of(torch.tensor([1.0, float("nan"), 3.0, float("inf"), 0.0]))
    assert (found.count, found.not_finite, found.largest) == (5, 2, 3.0)
    assert found.zeros == pytest.approx(1 / 3)
    assert TensorStatistics.of(torch.full((3,), float("nan"))).not_finite == 3
    assert TensorStatistics.of(torch.empty(0)).count == 0
    assert TensorStatistics.of(torch.tensor([1, -1])).mean_absolute == 1.0  # whole numbers too


def test_mean_deviation_and_zeros_over_batches() -> None:
    values = torch.randn(100, 7, dtype=torch.float64) * 4
    statistics = ActivationStatistics()
    for part in values.split(33):
        statistics.add("tanh", "Tanh", part.tanh())
    found = statistics.layers["tanh"].as_dict()
    assert found["mean"] == pytest.approx(float(values.tanh().mean()))
    assert found["std"] == pytest.approx(float(values.tanh().std(correction=0)))
    assert (found["kind"], found["zeros"]) == ("Tanh", 0.0)


def test_padding_is_left_out() -> None:
    output, mask = torch.ones(2, 3, 4), torch.tensor([[True, True, False], [True, False, False]])
    output[~mask] = 100.0
    statistics = ActivationStatistics()
    statistics.add("layer", "Linear", output, mask)
    assert statistics.layers["layer"].as_dict()["mean"] == 1.0


def test_tuples_packed_sequences_and_mappings_are_seen() -> None:
    lstm = nn.LSTM(3, 5, batch_first=True)
    seen: list[tuple[int, ...]] = []
    with recording({"lstm": lstm}, lambda name, module, output: seen.append(tuple(output.shape))):
        lstm(torch.randn(2, 4, 3))
        lstm(nn.utils.rnn.pack_padded_sequence(torch.randn(2, 4, 3), torch.tensor([4, 2]), batch_first=True))
    assert seen == [(2, 4, 5), (6, 5)]
    assert not lstm._forward_hooks
    assert first_tensor({"a": None, "b": [(), (torch.ones(1),)]}) is not None
    assert first_tensor("text") is None


def test_hooks_modes_and_statistics_survive_an_error() -> None:
    net = nn.ModuleDict({"model": nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2))})
    net["model"][1].eval()  # type: ignore[index]
    modes = [module.training for module in net.modules()]
    with pytest.raises(RuntimeError), as_found(net), recording(layers_of(net), lambda *_: None):
        net["model"][0].train()  # type: ignore[index]
        net["model"](torch.randn(4, 3))  # changes running statistics
        net["model"](torch.randn(4, 99))
    assert [module.training for module in net.modules()] == modes
    assert not any(module._forward_hooks for module in net.modules())
    norm: nn.BatchNorm1d = net["model"][0]  # type: ignore[index]
    assert norm.running_mean is not None
    assert torch.equal(norm.running_mean, torch.zeros(3))
    assert int(norm.num_batches_tracked or 0) == 0


def test_layers_have_the_names_of_the_summary() -> None:
    one = nn.ModuleDict({"model": nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))})
    assert list(layers_of(one)) == ["0", "1", "1.0"]
    assert list(innermost(layers_of(one))) == ["0", "1.0"]
    assert list(layers_of(nn.ModuleDict({"model": nn.Linear(2, 2)}))) == ["network"]
    two = nn.ModuleDict({"a": nn.Sequential(nn.Linear(2, 2)), "b": nn.Sequential(nn.ReLU())})
    assert list(layers_of(two)) == ["a.0", "b.0"]


def test_principal_components_equal_those_of_scikit_learn() -> None:
    from sklearn.decomposition import PCA

    torch.manual_seed(0)
    features = torch.randn(40, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64)
    projected, shares = principal_components(features, 3)
    reference = PCA(3).fit(features.numpy())
    expected = torch.from_numpy(reference.transform(features.numpy()))
    assert torch.allclose(projected.abs(), expected.abs())
    assert shares == pytest.approx(reference.explained_variance_ratio_.tolist())
    assert torch.equal(principal_components(features.clone(), 3)[0], projected)
    flat, none = principal_components(torch.ones(5, 1))
    assert (flat.shape, none[1]) == ((5, 2), 0.0)


def test_neighbors_of_separate_classes_agree() -> None:
    classes: Tensor = torch.arange(30) % 3
    torch.manual_seed(0)
    features = torch.randn(30, 2) * 0.1 + classes[:, None]
    assert neighbor_agreement(features, classes) == 1.0
    assert neighbor_agreement(features, classes[torch.randperm(30)]) < 0.7
