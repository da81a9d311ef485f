"""What `trainer.compile=step` needs: the graphs of a run, and before training the refusal of what no graph can hold."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import islice

import torch
from torch import Tensor

from dlexp.assemble.experiment import Experiment
from dlexp.data.columns import Ragged
from dlexp.engine.one_graph.phase_graphs import PhaseGraphs, network_tensors, record
from dlexp.engine.one_graph.recording import Untraceable
from dlexp.engine.one_graph.update import PhaseUpdate, flattened, idle_optimizer, tensors_changed_by, undone
from dlexp.engine.state import EpochSums, TrainState
from dlexp.engine.step import StepRules, step_phase
from dlexp.errors import ConfigError, Diverged
from dlexp.optim.optimizers.in_numpy import NumpyOptimizer
from dlexp.optim.plain_steps import single_optimizers
from dlexp.runtime.settings import refuse_without_compiler
from dlexp.types import TrainingData

# The options of conf/optim whose step can be part of a graph; tests/contract/one_graph/ asks each of them.
TRACED_OPTIMIZERS = (
    *("adadelta", "adagrad", "adam", "adamax", "adamw", "lion", "lookahead", "nadam", "radam", "rmsprop"),
    "sgd",
)
_MOST_ACCUMULATED = 16  # a graph has every micro batch written out
_KEY, _WORD = "trainer.compile", "step"
_REMEDY = "Set trainer.compile=false"


def phase_graphs(experiment: Experiment, batches: TrainingData, updates: int) -> PhaseGraphs:
    """The graphs of a run with `trainer.compile=step`.

    Args:
        experiment: The experiment.
        batches: The training batches.
        updates: Updates of the whole run.
    """
    config = experiment.config
    number = min(config.trainer.accumulate, len(batches))
    sizes = [min(config.batch_size, batches.num_samples)] * number
    return PhaseGraphs(sizes, updates)


def refuse_untraceable(experiment: Experiment, state: TrainState, batches: TrainingData, rules: StepRules) -> None:
    """Run an update as a graph would, and undo it. Raises ConfigError for one that no graph can hold."""
    config, task = experiment.config, experiment.task
    state.train_mode()
    micro_batches = list(islice(batches.epoch(0), config.trainer.accumulate))
    networks = network_tensors(state.networks)
    chosen = f"model={config.model.option} task={config.task.option} loss={config.loss.option}"
    for name in task.phases:
        option = config.optim_of(name)[0].option
        if state.traits[name].needs_closure:
            raise _of_optimizer(option, "it takes several gradients in an update and compares them")
        if any(isinstance(part, NumpyOptimizer) for part in single_optimizers(state.optimizers[name])):
            raise _of_optimizer(option, "it computes in NumPy, which no graph holds")
        if any(isinstance(part, torch.optim.Muon) for part in single_optimizers(state.optimizers[name])):
            raise _of_optimizer(option, "it computes in bf16, where a graph rounds otherwise")
        update = PhaseUpdate(task, state, micro_batches, replace(rules, graphs=None), (name, 0))
        with undone(update, tensors_changed_by(update, networks)):
            try:
                step_phase(task, _apart(state), micro_batches, update.rules, update.turn)  # as a state begins with it
            except Diverged:
                continue
            if problem := _problem(update, networks, chosen, option):
                raise problem


def _problem(update: PhaseUpdate, networks: list[Tensor], chosen: str, option: str) -> ConfigError | None:
    """Why an update cannot be a graph: because of its loss, or of its optimizer; None if it can.

    chosen  the model, the task and the loss
    option  the optimizer
    """
    tensors, rebuilt = flattened(update.micro_batches)
    try:
        with idle_optimizer(update):
            record(update, tensors_changed_by(update, networks), tensors, rebuilt)
    except Untraceable as error:
        rule = f"is not possible with {chosen}: {error}"
        return ConfigError.one(_KEY, _WORD, rule, _REMEDY, code="cannot-combine")
    try:
        record(update, tensors_changed_by(update, networks), tensors, rebuilt)
    except (Untraceable, TypeError, ValueError, RuntimeError) as error:
        return _of_optimizer(option, str(error))
    return None


def refuse_settings(experiment: Experiment) -> None:
    """Raise ConfigError for settings that no graph can follow, and without a compiler."""
    refuse_without_compiler(experiment.device)
    config, split = experiment.config, experiment.bundle.splits["train"]

    def refusal(rule: str, remedy: str = _REMEDY) -> ConfigError:
        return ConfigError.one(_KEY, _WORD, rule, remedy, code="cannot-combine")

    if experiment.device.type not in ("cpu", "cuda"):
        raise refusal(f"requires a CPU or a CUDA device, got {experiment.device}")
    if experiment.precision.name == "fp16":
        rule = "cannot be combined with trainer.precision=fp16, whose scale depends on every gradient"
        raise refusal(rule, "Set trainer.precision=bf16")
    if config.trainer.accumulate > _MOST_ACCUMULATED:
        given = config.trainer.accumulate
        rule = f"holds at most {_MOST_ACCUMULATED} batches of an update, got trainer.accumulate={given}"
        raise refusal(rule, f"Set trainer.accumulate={_MOST_ACCUMULATED}")
    if isinstance(split.inputs, Ragged) or isinstance(split.targets, Ragged):
        raise refusal("is one graph for each length, and these sequences have many")
    for name in experiment.task.phases:
        if config.scheduler_of(name).arguments.get("cycle_momentum"):
            rule = "cannot be combined with a schedule that changes the momentum in every update"
            raise refusal(rule, "Set scheduler.cycle_momentum=false")


def _of_optimizer(option: str, reason: str) -> ConfigError:
    rule = f"is not possible with optim={option}: {reason}"
    remedy = f"Set trainer.compile=false, or use one of {', '.join(TRACED_OPTIMIZERS)}"
    return ConfigError.one(_KEY, _WORD, rule, remedy, code="cannot-combine")


def _apart(state: TrainState) -> TrainState:
    """The same state with sums of its own."""
    found = copy.copy(state)
    found.sums = EpochSums()
    return found
