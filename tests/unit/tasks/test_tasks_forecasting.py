"""Forecasting: units, metrics by their definitions, intervals over time, and no look into the future."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dlexp.data.sources.series.synthetic_series import synthetic_series
from dlexp.errors import ConfigError
from dlexp.losses.regression import MSE, Quantile
from dlexp.metrics.forecast_errors import ForecastErrors, Scaling, pinball
from dlexp.metrics.intervals.blocks import block_interval, time_blocks
from dlexp.models.mlp import mlp
from dlexp.sequence_specs import ForecastSpec, SeriesSpec
from dlexp.specs import DataSpec
from dlexp.tasks.forecasting import Forecasting, FromLast
from dlexp.types import Batch, Prediction, Sequences

SPEC = DataSpec(SeriesSpec(3, 5), ForecastSpec(("a", "b"), 4, (10.0, -5.0), (2.0, 0.5), 1, (), (0,), ((2.0, 0.5),)))


class Fixed(nn.Module):
    """Gives the same outputs for every window."""

    def __init__(self, outputs: torch.Tensor) -> None:
        super().__init__()
        self.outputs = nn.Parameter(outputs)

    def forward(self, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.outputs.expand(len(values), -1)


def batch_of(count: int = 3) -> Batch:
    generator = torch.Generator().manual_seed(0)
    inputs = Sequences(torch.randn(count, 5, 3, generator=generator), torch.full((count,), 5))
    return Batch(inputs, torch.randn(count, 4, 2, generator=generator).double() + 3, torch.arange(count))


def test_outputs_are_steps_of_targets_in_their_own_units() -> None:
    task = Forecasting(spec=SPEC, loss=MSE(), relative_to="none")
    outputs = torch.arange(8.0)
    found = task.predict({"model": Fixed(outputs)}, batch_of())
    steps = found.outputs[0].reshape(4, 2)
    assert steps[:, 0].tolist() == [10 + 2 * n for n in (0, 2, 4, 6)]
    assert steps[:, 1].tolist() == [-5 + 0.5 * n for n in (1, 3, 5, 7)]
    columns = task.prediction_columns(SPEC, found)
    assert columns.rows_each == 4
    assert columns.columns["predicted a"][:4] == steps[:, 0].tolist()


@pytest.mark.parametrize(("relative_to", "divides"), [("last", False), ("window", True)])
def test_a_forecast_moves_with_the_level_of_its_window(relative_to: str, divides: bool) -> None:
    task = Forecasting(spec=SPEC, loss=MSE(), relative_to=relative_to)
    torch.manual_seed(0)
    inner = mlp(num_outputs=8, in_channels=3, max_length=5, hidden=[6])
    network = task.around(inner)
    assert isinstance(network, FromLast)
    inputs = batch_of().inputs
    assert isinstance(inputs, Sequences)
    moved = inputs.values.clone()
    moved[:, :, 0] += 7
    before, after = network(inputs.values, inputs.lengths), network(moved, inputs.lengths)
    apart = (after - before).reshape(-1, 4, 2)
    assert torch.allclose(apart[..., 0], torch.tensor(7.0), atol=1e-5)
    assert torch.allclose(apart[..., 1], torch.tensor(0.0), atol=1e-5)
    if divides:
        wide = inputs.values.clone()
        wide[:, :, 0] *= 3
        last, scaled = inputs.values[:, -1:, 0], network(wide, inputs.lengths).reshape(-1, 4, 2)[..., 0]
        assert torch.allclose(scaled - 3 * last, 3 * (before.reshape(-1, 4, 2)[..., 0] - last), atol=1e-4)


def test_zero_change_from_the_last_value_is_the_naive_forecast() -> None:
    bundle = synthetic_series(num_steps=200)
    task = Forecasting(spec=bundle.spec, loss=MSE())
    ((inputs, targets),) = bundle.splits["test"].read([slice(0, 9)])
    found = task.predict({"model": task.around(Fixed(torch.zeros(7)))}, Batch(inputs, targets, torch.arange(9)))
    assert bundle.references is not None
    assert np.allclose(found.outputs.detach().numpy(), bundle.references("test")["naive"][:9, :, 0], atol=1e-5)


def test_metrics_follow_their_definitions_batch_by_batch() -> None:
    task = Forecasting(spec=SPEC, loss=Quantile())
    rng = np.random.default_rng(0)
    true, predicted = rng.normal(size=(7, 4, 2)), rng.normal(size=(7, 4, 2))
    bounds = {f"q{q}": predicted + shift for q, shift in ((0.1, -1.0), (0.5, 0.0), (0.9, 1.0))}
    states = [task.metric_state(["pinball"]) for _ in range(2)]
    for state, part in zip(states, (slice(0, 5), slice(5, 7)), strict=True):
        flat = [torch.from_numpy(each[part]).flatten(1) for each in (predicted, true)]
        extra = {name: torch.from_numpy(each[part]).flatten(1) for name, each in bounds.items()}
        count = len(flat[0])
        state.update(Prediction(flat[0], flat[1], torch.tensor(1.0), torch.arange(count), extra))
    states[0].merge(states[1])
    found = states[0].compute()
    error = np.abs(predicted - true)
    assert found["mae"] == pytest.approx(error.mean())
    assert found["rmse"] == pytest.approx(np.sqrt((error**2).mean(axis=(0, 1))).mean())
    assert found["mase"] == pytest.approx((error / np.array([2.0, 0.5])).mean())
    assert found["smape"] == pytest.approx((2 * error / (np.abs(true) + np.abs(predicted))).mean())
    parts = [
        np.where(true >= v, q * (true - v), (1 - q) * (v - true))
        for q, v in zip((0.1, 0.5, 0.9), bounds.values(), strict=True)
    ]
    assert found["pinball"] == pytest.approx(np.mean(parts))
    assert pinball(bounds, true).mean() == pytest.approx(np.mean(parts))
    with pytest.raises(ConfigError, match="quantile"):
        Forecasting(spec=SPEC, loss=MSE()).metric_state(["pinball"])


def test_mase_leaves_out_a_series_without_a_change() -> None:
    scaling = Scaling((0, 10), ((2.0,), (0.0,)))
    scale = scaling.of(np.array([3, 9, 10, 15]))
    assert scale[:2].tolist() == [[2.0], [2.0]]
    assert np.isnan(scale[2:]).all()
    errors = ForecastErrors.of(np.ones((4, 1, 1)), np.zeros((4, 1, 1)), scale)
    assert errors.metrics()["mase"] == 0.5


@pytest.mark.parametrize(("count", "horizon", "carry"), [(68, 12, 0.0), (99, 12, 0.7), (500, 24, 0.7), (300, 1, 0.0)])
def test_the_interval_of_overlapping_windows_covers(count: int, horizon: int, carry: float) -> None:
    rng, hits, tries = np.random.default_rng(1), 0, 400
    blocks = time_blocks(np.arange(count), horizon)
    for _ in range(tries):
        noise = rng.standard_normal(count + horizon + 60)
        for step in range(1, len(noise)):
            noise[step] += carry * noise[step - 1]
        values = np.convolve(noise[61:], np.ones(horizon) / horizon, "valid")
        found = block_interval(values, blocks, 0.95, 1 - 1 / horizon)
        assert found.low is not None and found.high is not None
        hits += found.low <= 0 <= found.high
    assert 0.9 <= hits / tries <= 0.995


def test_too_few_stretches_of_time_have_no_interval() -> None:
    found = block_interval(np.ones(20), time_blocks(np.arange(20), 12), 0.95)
    assert found.low is None
    assert "stretches" in found.reason
