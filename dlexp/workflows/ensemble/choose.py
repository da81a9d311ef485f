"""Chooses the weights of an ensemble, and its temperature, on the validation split.

Symbols: K members, N samples, C classes, O values of a sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dlexp.assemble.experiment import Experiment
from dlexp.errors import ConfigError
from dlexp.metrics.ensembles.combination import Combination, unit_sum
from dlexp.metrics.ensembles.member_weights import (
    Objective,
    greedy_weights,
    mean_square,
    mixture_loss,
    stacked_mixture,
    stacked_values,
    vote_errors,
)
from dlexp.metrics.ensembles.temperature import fitted_temperature, true_losses
from dlexp.sequence_specs import ForecastSpec
from dlexp.specs import ValueSpec
from dlexp.workflows.ensemble.collect import CollectedOutputs
from dlexp.workflows.ensemble.gains import sample_scores
from dlexp.workflows.ensemble.outputs import SplitOutputs, combined_outputs
from dlexp.workflows.ensemble.request import CombineRequest
from dlexp.workflows.run_record.ensemble_record import EnsembleRecord

_DECIDES = {"log_loss": 1, "mse": 1, "accuracy": -1}  # metric of the best member -> 1 where it is to become small


def chosen_ensemble(collected: CollectedOutputs, request: CombineRequest) -> EnsembleRecord:
    """The ensemble of what was collected on the validation split; nothing else is looked at."""
    val, experiment = collected.outputs["val"], collected.experiment
    how = Combination(_weights(val, request, experiment), request.vote)
    meaning = val[0].meaning
    temperature: float | None = None
    temperatures: tuple[float | None, ...] = (None,) * len(val)
    if meaning == "probabilities" and not request.vote:
        temperature = _temperature(combined_outputs(val, how))
        temperatures = tuple(_temperature(one) for one in val)
    if request.calibrate:
        if temperature is None:
            rule = f"fits a temperature to probabilities, and loss={experiment.config.loss.option} makes none"
            raise ConfigError.one("--calibrate", "", rule, "Remove it.", code="not-supported")
        how = Combination(how.weights, False, temperature)
    metrics = tuple(sample_scores(one).metrics() for one in val)
    names = experiment.bundle.spec.output_names
    return EnsembleRecord(
        tuple(collected.members), request.weights, how, meaning, temperature, temperatures, metrics, names, len(val[0])
    )


def best_member(val: Sequence[Mapping[str, float | None]], vote: bool) -> int:
    """The position of the member that is best on the validation split: by log loss, squared error, or accuracy.

    vote  whether accuracy decides anyway
    """
    names = ("accuracy",) if vote else ("log_loss", "mse", "accuracy")
    name = next(name for name in names if name in val[0])
    sign = _DECIDES[name]
    values = [sign * value if (value := one.get(name)) is not None else np.inf for one in val]
    return int(np.argmin(values))


def _weights(val: Sequence[SplitOutputs], request: CombineRequest, experiment: Experiment) -> tuple[float, ...]:
    if request.weights == "equal":
        return Combination.equal(len(val)).weights
    first = val[0]
    if first.meaning == "values":
        errors = np.stack([(one.numbers - one.targets.double().numpy()) / _unit(one, experiment) for one in val])
        if request.weights == "stacked":
            return stacked_values(errors)
        return unit_sum(greedy_weights(mean_square(errors), len(val)))
    targets = first.targets.numpy()
    if request.vote:
        count = first.outputs.shape[1]
        votes = np.stack([np.eye(count)[one.outputs.argmax(dim=1).numpy()] for one in val])
        return unit_sum(greedy_weights(vote_errors(votes, targets), len(val)))
    true = np.exp(-np.stack([true_losses(one.numbers, targets) for one in val]))
    if request.weights == "stacked":
        return stacked_mixture(true)
    objective: Objective = mixture_loss(true)
    return unit_sum(greedy_weights(objective, len(val)))


def _unit(found: SplitOutputs, experiment: Experiment) -> np.ndarray:
    """The deviation of each output, (O,), so that several targets count alike."""
    targets = experiment.bundle.spec.targets
    std = targets.std if isinstance(targets, ValueSpec | ForecastSpec) else (1.0,)
    return np.resize(np.asarray(std, np.float64), found.outputs.shape[1])


def _temperature(found: SplitOutputs) -> float:
    return fitted_temperature(found.numbers, found.targets.numpy())
