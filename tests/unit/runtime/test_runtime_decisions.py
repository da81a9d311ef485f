from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from refusals import refused
from torch import nn

from dlexp.config.schema.run import TrainerConfig
from dlexp.errors import ConfigError
from dlexp.models.mlp import mlp
from dlexp.networks.arithmetic import Arithmetic
from dlexp.runtime.settings import NetworkFacts, apply_settings, compile_networks, decide

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
DENSE = NetworkFacts(images=False, plain=True, work=10_000_000, arithmetic=Arithmetic())
IMAGES = NetworkFacts(images=True, plain=False, work=10_000_000, arithmetic=Arithmetic())
AUTO = TrainerConfig()


@pytest.fixture
def torch_settings() -> Iterator[None]:
    threads, matmul = torch.get_num_threads(), torch.backends.cuda.matmul.fp32_precision
    cudnn: Any = torch.backends.cudnn
    conv, rnn = cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision
    yield
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.fp32_precision = matmul
    cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision = conv, rnn


@pytest.mark.parametrize(
    ("network", "plain", "images"),
    [
        (mlp(input_shape=(4,), num_outputs=2, hidden=(3,)), True, False),
        (nn.Sequential(nn.Conv1d(1, 1, 3), nn.Linear(2, 2)), False, False),
        (nn.Sequential(nn.Conv2d(1, 1, 3)), False, True),
        (nn.LSTM(2, 2), False, False),
        (nn.TransformerEncoderLayer(4, 2, batch_first=True), False, False),
    ],
    ids=["mlp", "conv1d", "conv2d", "lstm", "transformer"],
)
def test_facts_of_networks(network: nn.Module, plain: bool, images: bool) -> None:
    facts = NetworkFacts.of(nn.ModuleDict({"model": network}), 10, Arithmetic())
    assert (facts.plain, facts.images) == (plain, images)
    assert facts.work == 10 * sum(p.numel() for p in network.parameters())


def test_a_layer_that_torch_does_not_know_is_not_taken_for_a_plain_one() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2)

    assert not NetworkFacts.of(Own(), 1, Arithmetic()).plain


@pytest.mark.parametrize(
    ("wanted", "facts", "cores", "threads", "reason"),
    [
        ("auto", DENSE, 4, 1, "a small network of dense layers (10 M multiplications"),
        ("auto", replace(DENSE, work=100_000_000), 4, 4, "the share of this trial"),
        ("auto", IMAGES, 4, 4, "the share of this trial"),
        ("auto", DENSE, 1, 1, "the share of this trial"),
        (3, DENSE, 1, 3, "as configured"),
    ],
)
def test_threads(wanted: Any, facts: NetworkFacts, cores: int, threads: int, reason: str) -> None:
    found = decide(replace(AUTO, threads=wanted), CPU, facts, cores)
    assert found.threads == threads
    entry = found.as_dict()["threads"]
    assert (entry["value"], entry["override"]) == (str(threads), "trainer.threads")
    assert entry["reason"].startswith(reason)


def test_the_users_own_number_of_threads_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    found = decide(AUTO, CPU, DENSE)
    assert (found.threads, found.as_dict()["threads"]["reason"]) == (5, "OMP_NUM_THREADS is set")


def test_threads_beside_a_gpu_are_those_that_are_there() -> None:
    assert decide(replace(AUTO, precision="fp32"), CUDA, DENSE, cores=4).threads == 4


@pytest.mark.parametrize(
    ("wanted", "facts", "value"), [("auto", IMAGES, True), ("auto", DENSE, False), (False, IMAGES, False)]
)
def test_memory_format(wanted: Any, facts: NetworkFacts, value: bool) -> None:
    assert decide(replace(AUTO, channels_last=wanted), CPU, facts).channels_last is value


def test_a_memory_format_that_nothing_could_have_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        decide(replace(AUTO, channels_last=True), CPU, DENSE)
    refused(caught.value, "no-effect", "trainer.channels_last", "trainer.channels_last=auto")


@pytest.mark.parametrize(
    ("wanted", "device", "mode"),
    [
        (False, CUDA, None),
        ("auto", CPU, None),
        ("auto", CUDA, "default"),
        (True, CPU, "default"),
        ("reduce-overhead", CUDA, "reduce-overhead"),
        ("max-autotune", CPU, "max-autotune"),
    ],
)
def test_compile(wanted: Any, device: torch.device, mode: str | None) -> None:
    found = decide(replace(AUTO, compile=wanted, precision="fp32"), device, IMAGES)
    assert found.compile_mode == mode
    assert found.as_dict()["compile"]["value"] == (mode or "false")


def test_cuda_graphs_need_cuda() -> None:
    with pytest.raises(ConfigError) as caught:
        decide(replace(AUTO, compile="reduce-overhead"), CPU, IMAGES)
    refused(caught.value, "not-supported", "trainer.compile", "trainer.compile=true")


def test_compiling_and_recomputing_are_refused_together() -> None:
    with pytest.raises(ConfigError) as caught:
        decide(replace(AUTO, compile=True, checkpoint_activations=True), CPU, IMAGES)
    refused(caught.value, "cannot-combine", "trainer.checkpoint_activations")


@pytest.mark.parametrize(
    ("wanted", "device", "value"), [(True, CUDA, True), (False, CUDA, False), (True, CPU, False), (False, CPU, False)]
)
def test_tf32(wanted: bool, device: torch.device, value: bool) -> None:
    assert decide(replace(AUTO, tf32=wanted, precision="fp32"), device, DENSE).tf32 is value


def test_every_setting_has_a_value_a_reason_and_what_overrides_it() -> None:
    found = decide(AUTO, CPU, IMAGES).as_dict()
    assert {"device", "threads", "precision", "channels_last", "compile", "tf32", "spin_count", "allocator"} <= set(
        found
    )
    assert all(entry["value"] and len(entry["reason"]) > 8 and entry["override"] for entry in found.values())


@pytest.mark.usefixtures("torch_settings")
def test_settings_hold_for_torch_and_for_the_network() -> None:
    networks = nn.ModuleDict({"model": nn.Conv2d(2, 2, 3)})
    names = list(networks.state_dict())
    settings = replace(decide(replace(AUTO, threads=2), CPU, IMAGES), tf32=True)
    made = apply_settings(settings, networks)
    assert torch.get_num_threads() == 2
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    weight = made.state_dict()["model.weight"]
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert list(made.state_dict()) == names
    apply_settings(replace(settings, tf32=False), networks)
    cudnn: Any = torch.backends.cudnn
    assert (torch.backends.cuda.matmul.fp32_precision, cudnn.conv.fp32_precision) == ("ieee", "ieee")


def test_a_machine_without_a_compiler_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    networks = nn.ModuleDict({"model": nn.Linear(1, 1)})
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError) as caught:
        compile_networks(networks, "default", CPU)
    refused(caught.value, "not-supported", "trainer.compile", "trainer.compile=false")
    assert "no-such-compiler" in str(caught.value)
    monkeypatch.setenv("CXX", sys.executable)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        compile_networks(networks, "default", CPU)
    refused(caught.value, "not-supported", "trainer.compile", "trainer.compile=false")
    assert "Python.h" in str(caught.value)
