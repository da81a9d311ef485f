"""Two processes train a configuration as one does: batch normalization, averages, clipping, accumulation, metrics."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlexp.engine.parallel import synchronize_norms
from dlexp.runtime.distributed import SingleProcess

PROCESS = Path(__file__).with_name("seams_norms_process.py")
RUNS = ("ema", "swa", "mixed", "images")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process finds alone ("whole"), and two together ("0", "1")."""
    folder = tmp_path_factory.mktemp("processes")
    words = [sys.executable, str(PROCESS)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [*words, str(rank), f"file://{folder / 'meet'}", str(folder)],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for rank in (0, 1)
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in ("whole", "0", "1")}


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_weights_averages_and_running_statistics_are_those_of_one_process(results: dict[str, Any], run: str) -> None:
    whole, first, second = (results[name][run] for name in ("whole", "0", "1"))
    assert first["state"].keys() == whole["state"].keys()  # no key is renamed
    assert any("running_var" in name for name in whole["buffers"])
    for name, value in whole["state"].items():
        assert first["state"][name] == pytest.approx(value, rel=1e-3, abs=5e-4), name
    for name, value in whole["buffers"].items():
        assert first["buffers"][name] == pytest.approx(value, rel=1e-3, abs=5e-4), name
        assert first["buffers"][name] == second["buffers"][name], name


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_metrics_are_those_of_one_process(results: dict[str, Any], run: str) -> None:
    whole, first, second = (results[name][run]["rows"] for name in ("whole", "0", "1"))
    assert second == [] and len(first) == len(whole)
    for row, other in zip(first, whole, strict=True):
        assert row == pytest.approx(other, rel=1e-3, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_each_process_takes_its_share_of_each_batch_in_the_same_order(results: dict[str, Any], run: str) -> None:
    whole, *parts = (results[name][run]["taken"] for name in ("whole", "0", "1"))
    for number, batch in enumerate(whole):
        assert [part[number] for part in parts] == [batch[0::2], batch[1::2]]
    assert run == "images" or len(whole[-1]) == 2  # of 11


@pytest.mark.slow
def test_what_processes_cannot_share_is_refused_by_name(results: dict[str, Any]) -> None:
    expected = [["data.batch_size", "out-of-range"], ["model", "not-supported"]]
    assert results["0"]["refused"] == results["1"]["refused"] == expected


class Pair(SingleProcess):
    """A group of two where the other process has the same share: what it sums doubles."""

    size = 2

    def sum(self, value: Any) -> Any:
        """Twice the value."""
        return value * 2


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 4), (5, 3, 2, 4)])
def test_a_share_is_normalized_as_in_the_batch(shape: tuple[int, ...], affine: bool, momentum: float | None) -> None:
    kinds = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}

    def made() -> nn.Module:
        torch.manual_seed(0)
        return kinds[len(shape)](3, affine=affine, momentum=momentum).double()

    def results_of(norm: nn.Module, given: Tensor) -> tuple[Tensor, ...]:
        given.requires_grad_()
        found = norm(given)
        (found.sin().sum()).backward()
        assert given.grad is not None
        return found.detach(), given.grad, *norm.buffers()

    one, other = made(), made()
    synchronize_norms(other, Pair())
    assert other.state_dict().keys() == one.state_dict().keys()
    for _ in range(2):
        share = torch.randn(shape, dtype=torch.float64)
        whole = results_of(one, torch.cat([share, share]))
        found = results_of(other, share.clone())
        assert torch.allclose(found[0], whole[0][: len(share)])
        assert torch.allclose(found[1], whole[1][: len(share)])
        assert all(torch.allclose(a, b) for a, b in zip(found[2:], whole[2:], strict=True))
    assert torch.allclose(one.eval()(share), other.eval()(share))


def test_a_batch_with_one_value_has_no_variance() -> None:
    class Alone(Pair):
        def sum(self, value: Any) -> Any:
            return value

    norm = nn.BatchNorm1d(3)
    synchronize_norms(norm, Alone())
    with pytest.raises(ValueError, match="more than one value"):
        norm(torch.zeros(1, 3))
