from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from engine_toys import Run, differences
from torch import nn

from dlexp.engine.state import EpochSums, load_weights
from dlexp.errors import DlexpError
from dlexp.runtime.precision import Precision


@pytest.mark.parametrize("scheduler", ["constant", "cosine", "onecycle", "plateau", "warmup"])
def test_a_state_loads_with_weights_only_and_comes_back_whole(tmp_path: Path, scheduler: str) -> None:
    run = Run(tmp_path, scheduler, epochs=1)
    run.fit()
    run.state.batch = 3
    run.state.sums.add("loss", torch.tensor(2.0), 3)
    buffer = io.BytesIO()
    torch.save(run.state.state_dict(), buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=True)
    fresh = Run(tmp_path / "fresh", scheduler, epochs=1)
    assert differences(fresh.state.state_dict(), run.state.state_dict())
    fresh.state.load_state_dict(loaded)
    assert differences(fresh.state.state_dict(), run.state.state_dict()) == []


def test_the_gradient_scaler_is_part_of_the_state(tmp_path: Path) -> None:
    scaled = Precision("fp16", "cpu", "")
    run, fresh = Run(tmp_path), Run(tmp_path)
    run.state.scaler, fresh.state.scaler = scaled.scaler(), scaled.scaler()
    run.state.scaler.load_state_dict({**run.state.scaler.state_dict(), "scale": 512.0, "_growth_tracker": 7})
    fresh.state.load_state_dict(run.state.state_dict())
    assert fresh.state.scaler.state_dict() == run.state.scaler.state_dict()


def test_sums_are_means_over_samples_in_float64() -> None:
    sums = EpochSums()
    for mean, weight in ((1.0, 3), (2.0, 1)):
        sums.add("loss", torch.tensor(mean, requires_grad=True), weight)
        sums.count += weight
    assert sums.means() == {"loss": 1.25}
    total, samples = sums.sums["loss"]
    assert (total, float(samples)) == (5.0, 4.0)
    assert isinstance(total, float)  # a number of Python's, 64 bits wide
    assert EpochSums().means() == {}


def test_finishing_an_epoch_empties_the_sums_and_keeps_the_updates(tmp_path: Path) -> None:
    state = Run(tmp_path).state
    state.epoch, state.batch, state.step = 2, 5, 19
    state.sums.add("loss", torch.tensor(1.0), 4)
    state.finish_epoch()
    assert (state.epoch, state.batch, state.step) == (3, 0, 19)
    assert state.sums == EpochSums()


def test_weights_of_another_model_are_refused_by_name_and_nothing_is_loaded() -> None:
    own = nn.ModuleDict({"model": nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))})
    other = nn.ModuleDict({"model": nn.Sequential(nn.Linear(3, 5)), "critic": nn.Linear(1, 1)})
    before = {name: value.clone() for name, value in own.state_dict().items()}
    with pytest.raises(DlexpError) as caught:
        load_weights(own, other.state_dict())
    text = str(caught.value)
    assert "missing: model.1.bias, model.1.num_batches_tracked, model.1.running_mean" in text
    assert "unexpected: critic.bias, critic.weight" in text
    assert "of another shape: model.0.bias (5,) for (4,), model.0.weight (5, 3) for (4, 3)" in text
    assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())


def test_a_long_list_of_names_is_cut() -> None:
    own = nn.ModuleDict({"model": nn.Sequential(*[nn.Linear(1, 1, bias=False) for _ in range(8)])})
    with pytest.raises(DlexpError, match=r"model\.4\.weight and 3 more\)"):
        load_weights(own, {})


def test_a_checkpoint_of_another_task_is_refused_by_its_phases(tmp_path: Path) -> None:
    run = Run(tmp_path)
    saved = run.state.state_dict()
    saved["optimizers"] = {"generator": {}}
    with pytest.raises(DlexpError, match=r"phases \['generator'\]; this task has 'train'"):
        run.state.load_state_dict(saved)


def test_the_learning_rate_is_that_of_the_first_phase(tmp_path: Path) -> None:
    state = Run(tmp_path).state
    state.optimizers["train"].param_groups[0]["lr"] = 0.125
    assert state.learning_rates == {"train": 0.125}
