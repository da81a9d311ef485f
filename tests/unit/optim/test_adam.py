"""Adam and AdamW with the kernel called directly: the same bits as torch's own, whatever happens in between."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlexp.optim.optimizers.adam import Adam, AdamW, step_together

PAIRS = [(Adam, torch.optim.Adam), (AdamW, torch.optim.AdamW)]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 3))


def groups(network: nn.Module) -> list[dict[str, Any]]:
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.dim() > 1]},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0, "lr": 3e-3},
    ]


class Both:
    """The same training by both; `step` asserts that nothing differs."""

    def __init__(self, mine: Any, theirs: Any, **options: Any) -> None:
        options = {"lr": 1e-2, "weight_decay": 0.1, "fused": True} | options
        self.networks = [network(), network()]
        kinds = zip((mine, theirs), self.networks, strict=True)
        self.optimizers = [kind(groups(net), **options) for kind, net in kinds]
        self.inputs = torch.Generator().manual_seed(1)

    def step(self, **given: Any) -> None:
        x = torch.randn(8, 5, generator=self.inputs)
        for net, optimizer in zip(self.networks, self.optimizers, strict=True):
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step(**given)
        self.compare()

    def compare(self) -> None:
        for mine, theirs in zip(*(net.parameters() for net in self.networks), strict=True):
            assert torch.equal(mine, theirs)
        ours, torchs = (optimizer.state_dict() for optimizer in self.optimizers)
        assert ours["param_groups"] == torchs["param_groups"]
        assert ours["state"].keys() == torchs["state"].keys()
        for key, state in torchs["state"].items():
            assert all(torch.equal(ours["state"][key][name], value) for name, value in state.items())

    @property
    def direct(self) -> bool:
        return self.optimizers[0]._kept is not None


@pytest.mark.parametrize(("mine", "theirs"), PAIRS)
def test_direct_steps_are_torchs_to_the_bit(mine: Any, theirs: Any) -> None:
    both = Both(mine, theirs)
    for number in range(12):
        for optimizer in both.optimizers:
            optimizer.param_groups[0]["lr"] = 1e-2 / (number + 1)  # as a schedule does
        both.step()
    assert both.direct


@pytest.mark.parametrize(("mine", "theirs"), PAIRS)
def test_a_state_that_is_loaded_in_between_counts(mine: Any, theirs: Any) -> None:
    both = Both(mine, theirs)
    for _ in range(3):
        both.step()
    early = [copy.deepcopy(optimizer.state_dict()) for optimizer in both.optimizers]
    for _ in range(3):
        both.step()
    for optimizer, state in zip(both.optimizers, early, strict=True):
        optimizer.load_state_dict(state)
    for _ in range(3):
        both.step()
    assert both.direct
    assert {int(state["step"]) for state in both.optimizers[0].state.values()} == {6}


def test_a_copy_steps_its_own_tensors() -> None:
    both = Both(*PAIRS[1])
    for _ in range(3):
        both.step()
    before = [tensor.clone() for tensor in both.networks[0].parameters()]
    net, optimizer = copy.deepcopy((both.networks[0], both.optimizers[0]))
    for _ in range(2):
        net(torch.ones(8, 5)).sum().backward()
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(before, both.networks[0].parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert {int(state["step"]) for state in both.optimizers[0].state.values()} == {3}
    both.step()


def test_a_parameter_without_a_gradient_is_left_alone() -> None:
    both = Both(*PAIRS[1])
    for frozen in (False, False, True, True, False, False):
        for net in both.networks:
            net[0].bias.requires_grad_(not frozen)
        both.step()
    steps = {int(state["step"]) for state in both.optimizers[0].state.values()}
    assert steps == {4, 6}


def test_a_parameter_that_never_had_a_gradient_has_no_state() -> None:
    both = Both(*PAIRS[1])
    for net in both.networks:
        net[2].weight.requires_grad_(False)
    for _ in range(3):
        both.step()
    assert len(both.optimizers[0].state_dict()["state"]) == 5


@pytest.mark.parametrize("options", [{"fused": False}, {"amsgrad": True}, {"fused": None, "foreach": True}])
def test_what_the_kernel_cannot_is_left_to_torch(options: dict[str, Any]) -> None:
    both = Both(*PAIRS[1], **options)
    for _ in range(4):
        both.step()
    assert not both.direct


def test_a_group_that_comes_later_is_stepped() -> None:
    both = Both(*PAIRS[1])
    both.step()
    extra: list[Tensor] = [nn.Parameter(torch.ones(2)) for _ in range(2)]
    for optimizer, parameter in zip(both.optimizers, extra, strict=True):
        optimizer.add_param_group({"params": [parameter]})
    for _ in range(3):
        for parameter in extra:
            parameter.grad = torch.full((2,), 0.5)
        for net, optimizer in zip(both.networks, both.optimizers, strict=True):
            for weight in net.parameters():
                weight.grad = torch.ones_like(weight)
            optimizer.step()
        both.compare()
    assert torch.equal(*extra) and float(extra[0].detach()[0]) < 1


def test_hooks_closures_and_a_scalers_verdict_are_heard() -> None:
    both = Both(*PAIRS[1])
    for _ in range(2):
        both.step()
    called: list[int] = []
    handle = both.optimizers[0].register_step_post_hook(lambda *args: called.append(1))
    both.step()
    handle.remove()
    both.step()
    assert called == [1]
    assert [optimizer.step(lambda: 3.0) for optimizer in both.optimizers] == [3.0, 3.0]
    both.compare()
    before = [weight.clone() for weight in both.networks[0].parameters()]
    for optimizer in both.optimizers:
        optimizer.grad_scale, optimizer.found_inf = torch.ones(()), torch.ones(())
    for optimizer in both.optimizers:
        optimizer.step()
        del optimizer.grad_scale, optimizer.found_inf
    both.compare()
    assert all(torch.equal(a, b) for a, b in zip(before, both.networks[0].parameters(), strict=True))


def test_a_run_of_the_default_line_does_without_torchs_compiler(tmp_path: Path) -> None:
    """It would take a second of every start, and 150 MiB."""
    program = (
        "import atexit, sys\n"
        "from dlexp.cli.app import main\n"
        "compiler = ('torch._dynamo', 'torch._inductor', 'sympy')\n"
        "atexit.register(lambda: print('LOADED', [name for name in compiler if name in sys.modules]))\n"
        "main(['train', '-q', 'trainer.epochs=1', 'model.hidden=[8]', '--run-dir', 'run'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_several_that_step_together_are_those_that_step_alone_to_the_bit() -> None:
    def optimizers(networks: list[nn.Sequential]) -> list[torch.optim.Optimizer]:
        rates = (1e-2, 1e-2, 3e-2)
        found: list[torch.optim.Optimizer] = [
            AdamW(groups(net), lr=rate, weight_decay=0.1, fused=True)
            for net, rate in zip(networks, rates, strict=False)
        ]
        found.append(Adam(groups(networks[3]), lr=1e-2, weight_decay=0.1, fused=True))
        return [*found, torch.optim.SGD(networks[4].parameters(), lr=1e-2, momentum=0.9)]

    sides = [[network() for _ in range(5)] for _ in range(2)]
    alone, together = (optimizers(networks) for networks in sides)
    inputs = torch.Generator().manual_seed(1)
    for _ in range(6):
        for number in range(5):
            x = torch.randn(8, 5, generator=inputs)
            for networks, own in zip(sides, (alone, together), strict=True):
                own[number].zero_grad()
                networks[number](x).square().mean().backward()
        for optimizer in alone:
            optimizer.step()
        assert sorted(step_together(together)) == list(range(len(together)))
        for one, other in zip(*sides, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    for a, b in zip(alone, together, strict=True):
        for key, state in a.state_dict()["state"].items():
            assert all(torch.equal(b.state_dict()["state"][key][name], value) for name, value in state.items())
