from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest
import torch
from engine_toys import FP32, VALUES, values_batch, values_task
from torch import nn

from dlexp.engine.evaluate import StoppedInEvaluation, evaluate, until
from dlexp.errors import OutOfMemory
from dlexp.losses.regression import MSE
from dlexp.metrics.regression import ValueSampleState
from dlexp.metrics.states import MetricState, RegressionState
from dlexp.tasks.regression import Regression
from dlexp.types import Batch, Prediction, as_tensor


def networks() -> nn.ModuleDict:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 1))
    return nn.ModuleDict({"model": layers, "other": nn.Linear(1, 1)})


def batches(*sizes: int) -> list[Batch]:
    return [values_batch(size, torch.float32, first_row=100 * n) for n, size in enumerate(sizes)]


def modes(nets: nn.Module) -> dict[str, bool]:
    return {name: module.training for name, module in nets.named_modules()}


def test_every_mode_is_put_back_network_by_network_and_layer_by_layer() -> None:
    nets = networks()
    nets["other"].eval()
    model = nets["model"]
    assert isinstance(model, nn.Sequential)
    model[1].eval()  # a frozen normalization inside a network that trains
    before = modes(nets)
    assert set(before.values()) == {True, False}
    evaluate(values_task(), nets, batches(4), FP32, seed=0)
    assert modes(nets) == before


def test_modes_are_put_back_after_an_error_too() -> None:
    nets = networks()
    before = modes(nets)
    with pytest.raises(RuntimeError, match="shapes"):
        evaluate(values_task(), nets, [Batch(torch.zeros(2, 9), torch.zeros(2, 1), torch.arange(2))], FP32, seed=0)
    assert modes(nets) == before


def test_nothing_is_changed_and_dropout_is_off() -> None:
    nets = networks()
    before = {name: value.clone() for name, value in nets.state_dict().items()}
    first = evaluate(values_task(), nets, batches(8, 8), FP32, seed=0)
    second = evaluate(values_task(), nets, batches(8, 8), FP32, seed=0)
    assert first.metrics == second.metrics
    assert all(torch.equal(value, before[name]) for name, value in nets.state_dict().items())


class GradientSeen(Regression):
    """Remembers whether anything wanted a gradient."""

    wanted: bool = False

    def predict(self, networks: Mapping[str, nn.Module], batch: Batch) -> Prediction:
        found = super().predict(networks, batch)
        self.wanted = self.wanted or torch.is_grad_enabled() or found.loss.requires_grad
        return found


def test_no_gradient_is_recorded() -> None:
    task = GradientSeen(spec=VALUES, loss=MSE())
    evaluate(task, networks(), batches(4), FP32, seed=0)
    assert not task.wanted


def test_an_uneven_last_batch_weighs_what_it_holds() -> None:
    nets = networks()
    whole = batches(7)[0]
    parts = [
        Batch(*p)
        for p in zip(
            as_tensor(whole.inputs).split(5), as_tensor(whole.targets).split(5), whole.indices.split(5), strict=True
        )
    ]
    assert [len(part) for part in parts] == [5, 2]
    of_parts = evaluate(values_task(), nets, parts, FP32, seed=0).metrics
    of_whole = evaluate(values_task(), nets, [whole], FP32, seed=0).metrics
    assert of_parts == pytest.approx(of_whole, rel=1e-6)
    nets.eval()
    errors = (nets["model"](whole.inputs) - whole.targets).detach()
    assert of_whole["loss"] == pytest.approx(float(errors.square().mean()), rel=1e-6)


def test_samples_are_kept_only_by_a_state_for_a_report() -> None:
    task = values_task()
    assert isinstance(evaluate(task, networks(), batches(3, 2), FP32, seed=0).state, RegressionState)
    kept = evaluate(task, networks(), batches(3, 2), FP32, task.report_state(), seed=0).state.part(ValueSampleState)
    assert kept.indices().tolist() == [0, 1, 2, 100, 101]


def test_a_stop_is_noticed_before_the_next_batch() -> None:
    nets, read = networks(), []

    def watched() -> Iterator[Batch]:
        for number, batch in enumerate(batches(2, 2, 2, 2)):
            read.append(number)
            yield batch

    with pytest.raises(StoppedInEvaluation):
        evaluate(values_task(), nets, until(lambda: len(read) == 3, watched()), FP32, seed=0)
    assert read == [0, 1, 2]
    assert set(modes(nets).values()) == {True}


def test_no_sample_is_an_error() -> None:
    with pytest.raises(ValueError, match="no sample"):
        evaluate(values_task(), networks(), [], FP32, seed=0)


class Greedy(Regression):
    """Its metrics take more memory than there is."""

    def metric_state(self, names: Sequence[str] = ()) -> MetricState:
        state = super().metric_state(names)

        def update(prediction: Prediction) -> None:
            raise torch.OutOfMemoryError("out of memory")

        state.update = update  # type: ignore[method-assign]
        return state


def test_memory_that_runs_out_in_a_metric_is_told_with_what_to_try() -> None:
    with pytest.raises(OutOfMemory, match=r"the evaluation of a batch of 8 samples.*data.eval_batch_size=4"):
        evaluate(Greedy(spec=VALUES, loss=MSE()), networks(), batches(8), FP32, seed=0)
