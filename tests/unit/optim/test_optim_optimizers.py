"""Optimizers from elsewhere against their papers' formulas in float64, and two in one against each of them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlexp.networks.layers import hidden_matrices, parameters_by_layer
from dlexp.optim.optimizers.combined import CombinedOptimizer
from dlexp.optim.optimizers.third_party import lamb, lbfgs, lion, muon, schedule_free_adamw

STEPS = 12


def parameter(rows: int = 3, columns: int = 4) -> nn.Parameter:
    rng = torch.Generator().manual_seed(1)
    return nn.Parameter(torch.randn(rows, columns, generator=rng, dtype=torch.float64))


def gradients() -> list[Tensor]:
    rng = torch.Generator().manual_seed(2)
    return [torch.randn(3, 4, generator=rng, dtype=torch.float64) for _ in range(STEPS)]


def test_lion_is_the_paper_s_program() -> None:
    p = parameter()
    w, m = p.detach().clone(), torch.zeros(3, 4, dtype=torch.float64)
    optimizer = lion(params=[{"params": [p]}], lr=0.01, betas=(0.8, 0.95), weight_decay=0.3)
    for g in gradients():
        p.grad = g.clone()
        optimizer.step()
        w = w - 0.01 * ((0.8 * m + 0.2 * g).sign() + 0.3 * w)
        m = 0.95 * m + 0.05 * g
        torch.testing.assert_close(p.detach(), w, rtol=1e-12, atol=1e-14)


def test_lamb_is_the_paper_s_program_without_bias_corrections() -> None:
    p = parameter()
    w, m, v = p.detach().clone(), torch.zeros(3, 4, dtype=torch.float64), torch.zeros(3, 4, dtype=torch.float64)
    optimizer = lamb(params=[{"params": [p]}], lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.3)
    for g in gradients():
        p.grad = g.clone()
        optimizer.step()
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g * g
        u = m / (v.sqrt() + 1e-6) + 0.3 * w
        w = w - 0.01 * w.norm().clamp(max=10) / u.norm() * u
        torch.testing.assert_close(p.detach(), w, rtol=1e-5, atol=1e-7)


def test_schedule_free_adamw_is_the_paper_s_algorithm_in_x_y_and_z() -> None:
    p = parameter()
    x, z, v, total = p.detach().clone(), p.detach().clone(), torch.zeros(3, 4, dtype=torch.float64), 0.0
    optimizer: Any = schedule_free_adamw(params=[{"params": [p]}], lr=0.05, betas=(0.9, 0.95), weight_decay=0.2)
    for t, g in enumerate(gradients(), start=1):
        optimizer.param_groups[0]["lr"] = rate = 0.05 * min(1.0, t / 4)  # a warm-up: its places count less
        y = 0.1 * z + 0.9 * x
        torch.testing.assert_close(p.detach(), y, rtol=1e-10, atol=1e-12)
        p.grad = g.clone()
        optimizer.step()
        v = 0.95 * v + 0.05 * g * g
        z = z - rate * (g / ((v / (1 - 0.95**t)).sqrt() + 1e-8) + 0.2 * y)
        total += rate**2
        x = x + rate**2 / total * (z - x)
        optimizer.eval()
        torch.testing.assert_close(p.detach(), x, rtol=1e-8, atol=1e-10)
        optimizer.train()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 4)
        self.conv = nn.Conv1d(1, 2, 3)
        self.first = nn.Linear(4, 6)
        self.norm = nn.LayerNorm(6)
        self.second = nn.Linear(6, 6)
        self.position = nn.Parameter(torch.zeros(3, 6))
        self.head = nn.Linear(6, 2)


def test_hidden_matrices_are_neither_tables_nor_convolutions_nor_the_head() -> None:
    net = Net()
    assert [id(p) for p in hidden_matrices([net])] == [id(net.first.weight), id(net.second.weight)]
    net.first.weight.requires_grad_(False)
    assert [id(p) for p in hidden_matrices([net])] == [id(net.second.weight)]


def muon_of(net: Net, lr: float = 0.02, **more: Any) -> CombinedOptimizer:
    hidden = hidden_matrices([net])
    weights = [p for p in net.parameters() if p.ndim > 1]
    rest = [p for p in net.parameters() if p.ndim == 1]
    groups: list[dict[str, Any]] = [{"params": weights}, {"params": rest, "weight_decay": 0.0, "lr": lr / 2}]
    found = muon(params=groups, hidden_matrices=hidden, lr=lr, weight_decay=0.1, **more)
    assert isinstance(found, CombinedOptimizer)
    return found


def fill(net: nn.Module, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    for p in net.parameters():
        p.grad = torch.randn(p.shape, generator=rng)


def test_muon_updates_hidden_matrices_and_adamw_all_else() -> None:
    torch.manual_seed(0)
    net = Net()
    other = copy.deepcopy(net)
    joined = muon_of(net, adamw_lr_factor=0.5)
    hidden = [other.first.weight, other.second.weight]
    matrices = torch.optim.Muon(hidden, lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    ids = {id(p) for p in hidden}
    weights = [p for p in other.parameters() if p.ndim > 1 and id(p) not in ids]
    rest = [p for p in other.parameters() if p.ndim == 1]
    groups: list[dict[str, Any]] = [{"params": weights}, {"params": rest, "weight_decay": 0.0, "lr": 0.005}]
    adamw = torch.optim.AdamW(groups, lr=0.01, weight_decay=0.1, fused=True)
    for seed in range(4):
        fill(net, seed)
        fill(other, seed)
        joined.step()
        matrices.step()
        adamw.step()
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), other.parameters(), strict=True))


def test_groups_of_joined_optimizers_are_those_of_the_parts_before_and_after_a_state_is_loaded() -> None:
    net = Net()
    joined = muon_of(net)
    for _ in range(2):
        for group in joined.param_groups:
            group["lr"] *= 0.5
        assert [g["lr"] for g in joined.param_groups] == [g["lr"] for part in joined.parts for g in part.param_groups]
        joined.load_state_dict(joined.state_dict())
    assert [g["lr"] for g in joined.param_groups] == [0.005, 0.005, 0.0025]


def test_joined_optimizers_are_copied_with_the_weights_that_they_update() -> None:
    torch.manual_seed(0)
    net = Net()
    joined = muon_of(net)
    fill(net, 0)
    joined.step()
    other, copied = copy.deepcopy((net, joined))
    for model, optimizer in ((net, joined), (other, copied)):
        fill(model, 1)
        optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), other.parameters(), strict=True))
    assert not any(p is q for p, q in zip(net.parameters(), other.parameters(), strict=True))
    copied.param_groups[0]["lr"] = 7.0
    assert copied.parts[0].param_groups[0]["lr"] == 7.0
    assert joined.param_groups[0]["lr"] == 0.02


def test_muon_without_a_hidden_matrix_says_what_to_choose() -> None:
    with pytest.raises(ValueError, match=r"optim=adamw"):
        muon(params=[{"params": [parameter()]}], hidden_matrices=[])


def test_lbfgs_refuses_rates_and_decays_that_it_cannot_keep() -> None:
    with pytest.raises(ValueError, match=r"optim\.groups.* optim\.layer_decay"):
        lbfgs(params=[{"params": [parameter()], "lr": 0.1}])
    with pytest.raises(ValueError, match=r"regularization\.l2"):
        lbfgs(params=[{"params": [parameter()], "weight_decay": 0.1}])


def names(net: nn.Module) -> list[list[str]]:
    by_id = {id(p): name for name, p in net.named_parameters()}
    return [[by_id[id(p)] for p in layer] for layer in parameters_by_layer(net)]


def test_layers_of_a_chain_are_its_maps_with_the_norms_behind_them() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1)))
    assert names(net) == [
        ["0.weight", "0.bias", "1.weight", "1.bias"],
        ["3.0.weight", "3.0.bias"],
        ["3.1.weight", "3.1.bias"],
    ]


def test_layers_of_a_residual_network_are_stem_blocks_and_head() -> None:
    import torchvision

    found = names(torchvision.models.resnet18(num_classes=3))
    assert [layer[0] for layer in found] == [
        "conv1.weight",
        *(f"layer{stage}.{block}.conv1.weight" for stage in range(1, 5) for block in range(2)),
        "fc.weight",
    ]
    assert sum(map(len, found)) == len(list(torchvision.models.resnet18(num_classes=3).parameters()))


def test_layers_of_a_transformer_are_found_inside_its_trunk() -> None:
    import torchvision

    vit = torchvision.models.VisionTransformer(
        image_size=8, patch_size=4, num_layers=3, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=2
    )
    found = names(vit)
    assert "class_token" in found[0]
    assert "encoder.pos_embedding" in found[1]
    blocks = [{name.split(".")[2] for name in layer if ".layers." in name} for layer in found[1:4]]
    assert blocks == [{"encoder_layer_0"}, {"encoder_layer_1"}, {"encoder_layer_2"}]
    assert found[-1] == ["heads.head.weight", "heads.head.bias"]
