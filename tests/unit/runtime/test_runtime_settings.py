from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from refusals import refused

from dlexp.errors import ConfigError
from dlexp.networks.arithmetic import Arithmetic
from dlexp.runtime import machine
from dlexp.runtime.device import select_device, set_deterministic
from dlexp.runtime.precision import Precision, choose_precision
from dlexp.text.time_format import now_utc, spoken, stamp

CPU = torch.device("cpu")
CUDA = torch.device("cuda")
DENSE = Arithmetic(total=10_000_000, samples=2)
LARGE = Arithmetic(total=10_000_000, convolutions=9_000_000, samples=2)


@pytest.fixture
def torch_settings() -> Iterator[None]:
    deterministic, benchmark = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    yield
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = benchmark


def amx(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": there, "avx512_bf16": False}, raising=False)


def test_a_cpu_that_multiplies_bf16_without_tiles_takes_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    assert choose_precision("auto", CPU, LARGE).name == "bf16"
    assert choose_precision("auto", CPU, DENSE).name == "fp32"


@pytest.mark.parametrize(
    ("tiles", "vectors", "name"), [(True, True, "bf16"), (False, True, "bf16"), (False, False, "fp32")]
)
def test_torch_2_10_is_asked_in_its_own_way(
    monkeypatch: pytest.MonkeyPatch, tiles: bool, vectors: bool, name: str
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: vectors)
    assert choose_precision("auto", CPU, LARGE).name == name


@pytest.mark.parametrize("wanted", ["fp32", "bf16", "fp16"])
def test_a_precision_that_was_asked_for_is_given(wanted: str) -> None:
    found = choose_precision(wanted, CPU, LARGE)
    assert (found.name, found.device_type, found.reason) == (wanted, "cpu", "as configured")


@pytest.mark.parametrize(
    ("tiles", "work", "name", "reason"),
    [
        (True, LARGE, "bf16", "AMX tiles"),
        (True, DENSE, "fp32", "no bf16 hardware"),
        (False, LARGE, "fp32", "no bf16 hardware"),
        (True, replace(LARGE, samples=20), "fp32", "(0.5 M"),
        (True, replace(LARGE, depthwise=400_000), "fp32", "depthwise"),
        (True, replace(LARGE, depthwise=200_000), "bf16", "AMX tiles"),
        (True, replace(LARGE, small=4_500_000), "fp32", "45 % of the arithmetic"),
        (True, replace(LARGE, small=3_500_000), "bf16", "AMX tiles"),
    ],
)
def test_a_cpu_takes_bf16_for_convolutions_that_gain_from_it(
    monkeypatch: pytest.MonkeyPatch, tiles: bool, work: Arithmetic, name: str, reason: str
) -> None:
    amx(monkeypatch, tiles)
    found = choose_precision("auto", CPU, work)
    assert found.name == name
    assert reason in found.reason


@pytest.mark.parametrize(("own", "name"), [(True, "bf16"), (False, "fp32")])
def test_a_gpu_takes_bf16_where_it_computes_it_itself(monkeypatch: pytest.MonkeyPatch, own: bool, name: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: own and not including_emulation)
    assert choose_precision("auto", CUDA, DENSE).name == name


@pytest.mark.parametrize(
    ("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_a_forward_pass_computes_in_the_precision(name: str, dtype: torch.dtype) -> None:
    precision = Precision(name, "cpu", "")
    with precision.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
    assert precision.scaler().is_enabled() == (name == "fp16")


def test_auto_takes_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert select_device("auto") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert select_device("auto") == CUDA
    assert select_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ConfigError) as caught:
        select_device("cuda:2")
    refused(caught.value, "out-of-range", "trainer.device")
    assert "2 CUDA devices" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "code", "remedy"),
    [
        ("gpu", "unknown-value", "cuda:N"),
        ("", "unknown-value", "cuda:N"),
        ("cuda:-1", "unknown-value", "cuda:N"),
        ("cuda", "not-supported", "trainer.device=auto"),
        ("mps", "not-supported", "trainer.device=auto"),
        ("meta", "not-supported", "cuda:N"),
    ],
)
def test_a_device_that_is_not_there_is_refused_with_what_is(
    monkeypatch: pytest.MonkeyPatch, name: str, code: str, remedy: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError) as caught:
        select_device(name)
    refused(caught.value, code, "trainer.device", remedy)


@pytest.mark.usefixtures("torch_settings")
def test_deterministic_sets_what_cublas_needs_and_keeps_what_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    set_deterministic(False)
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    assert not torch.are_deterministic_algorithms_enabled()
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    set_deterministic(True)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (12.4, "12 s"),
        (59.6, "1:00"),
        (185, "3:05"),
        (3723, "1:02:03"),
        (90000, "25:00:00"),
    ],
)
def test_durations_are_spoken(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


@pytest.mark.parametrize("seconds", [9.94, 9.96, 9.999])
def test_a_duration_just_below_ten_seconds_is_not_ten_point_zero(seconds: float) -> None:
    assert spoken(seconds) in ("9.9 s", "10 s")


def test_times_are_utc_in_files_and_sortable_in_names() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", now_utc())
    assert re.fullmatch(r"\d{8}-\d{6}", stamp())


def test_the_machine_is_described_in_plain_values() -> None:
    found = machine.machine_facts()
    assert found["torch"] == torch.__version__
    assert {type(value) for value in found.values()} <= {str, int, type(None)}
    assert any(line.startswith("torch==") for line in machine.packages())


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert machine.git_state(tmp_path) == (None, "")


def test_a_checkout_gives_its_commit_and_its_changes(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    git("init", "-q")
    (tmp_path / "file").write_text("one\n")
    git("add", "file")
    git("commit", "-q", "-m", "first")
    commit = git("rev-parse", "HEAD").strip()
    assert machine.git_state(tmp_path) == ({"commit": commit, "dirty": False}, "")
    (tmp_path / "file").write_text("two\n")
    state, diff = machine.git_state(tmp_path)
    assert state == {"commit": commit, "dirty": True}
    assert "+two" in diff
    (tmp_path / "file").write_text("x" * 2_000_000)
    assert len(machine.git_state(tmp_path)[1]) < 1_000_100
