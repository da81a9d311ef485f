"""The steps of a compression that change a network of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dlexp.assemble.experiment import Experiment
from dlexp.compression.channels import CannotFollow, channel_graph
from dlexp.compression.low_rank import RankChoice, lower_ranks
from dlexp.compression.magnitude import prunable_weights, sparsity_of, zero_smallest
from dlexp.compression.structured import remove_channels
from dlexp.data.loaders import EvalBatches
from dlexp.errors import ConfigError
from dlexp.tasks.base import forward
from dlexp.types import Batch
from dlexp.workflows.compress.request import LowRank, Prune, Quantize, Step

_NAMED = 4  # layers that a message names


@dataclass
class Compressed:
    """What the steps did to a network.

    Attributes:
        ranks: Layer -> rank, as they were replaced.
        values: Key of the configuration -> value, without those of the structure.
        facts: Of each step, for compress.json.
        notes: What a reader of the result must know.
    """

    ranks: dict[str, int] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    facts: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def samples_of(experiment: Experiment, count: int) -> Batch:
    """The first samples of the validation split, as one batch."""
    few = torch.arange(min(count, len(experiment.bundle.splits["val"])))
    batches = EvalBatches(experiment.bundle.with_split_subset("val", few), "val", count, experiment.device)
    return next(iter(batches))


def apply_steps(experiment: Experiment, steps: Sequence[Step]) -> Compressed:
    """Change the networks of an experiment, in place. Raises ConfigError for those that cannot be taken apart."""
    done = Compressed()
    experiment.networks.eval()
    for step in steps:
        if isinstance(step, Prune):
            (_remove if step.is_structured else _zero)(experiment, step, done)
        elif isinstance(step, LowRank):
            _lower(experiment, step, done)
        elif isinstance(step, Quantize):
            continue  # of what is trained and written
    _check_runs(experiment)
    return done


def _zero(experiment: Experiment, step: Prune, done: Compressed) -> None:
    weights = prunable_weights(experiment.networks.values())
    if not weights:
        rule = "has no dense, convolutional or recurrent layer whose weights could be zero"
        raise _refusal(experiment, rule)
    share = step.strengths[0]
    done.values |= {"compression.sparsity": share, "compression.scope": step.scope}
    done.facts.append({"step": step.words, "weights": sum(w.numel() for w in weights), "sparsity": share})
    if step.is_gradual:
        return
    zero_smallest(weights, share, step.scope)
    empty = [name for name, p in experiment.networks.named_parameters() if p in _Same(weights) and not p.any()]
    if empty:
        done.notes.append(f"all weights are zero in {', '.join(empty[:_NAMED])}: the network cannot answer")
    done.facts[-1]["sparsity"] = round(sparsity_of(weights), 6)


class _Same:
    """Whether a tensor is one of some."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._ids = {id(tensor) for tensor in tensors}

    def __contains__(self, tensor: object) -> bool:
        return id(tensor) in self._ids


def _remove(experiment: Experiment, step: Prune, done: Compressed) -> None:
    network, inputs = _only_network(experiment), samples_of(experiment, 2).inputs
    if not isinstance(inputs, Tensor):
        what = "has sequences or several tensors as inputs, which --structured does not follow"
        raise _refusal(experiment, what)
    try:
        graph = channel_graph(network, inputs)
    except CannotFollow as error:
        raise _refusal(experiment, f"cannot be taken apart: {error}") from error
    whole = list(graph.kept_whole())
    if not graph.removable():
        reasons = "; ".join(f"{name}: {reason}" for name, reason in whole[:_NAMED]) or "it has no layer with channels"
        raise _refusal(experiment, f"has no channels that could be removed ({reasons})")
    gone = remove_channels(network, graph, step.strengths[0], step.scope, step.norm)
    done.facts.append({"step": step.words, "removed": {f"model.{name}": count for name, count in gone.items()}})
    if inner := [f"model.{name} ({reason})" for name, reason in whole[:-1]]:
        more = f" and {len(inner) - _NAMED} more" if len(inner) > _NAMED else ""
        done.notes.append(f"left whole: {', '.join(inner[:_NAMED])}{more}")


def _lower(experiment: Experiment, step: LowRank, done: Compressed) -> None:
    found = lower_ranks(experiment.networks, RankChoice(step.share, step.by))
    if not found:
        rule = f"has no layer that two of a smaller rank with {step.words} would make smaller"
        remedy = "Use a smaller share." if step.by == "energy" else "Use --prune instead."
        raise _refusal(experiment, rule, remedy)
    done.ranks |= found
    done.facts.append({"step": step.words, "ranks": dict(found)})


def _only_network(experiment: Experiment) -> nn.Module:
    if list(experiment.networks) != ["model"]:
        rule = f"has the networks {', '.join(experiment.networks)}, and --structured takes one apart"
        raise _refusal(experiment, rule)
    return experiment.networks["model"]


def _check_runs(experiment: Experiment) -> None:
    """Raise ConfigError for a network that raises an error since its layers were replaced."""
    if list(experiment.networks) != ["model"]:
        return
    try:
        with torch.no_grad():
            forward(experiment.networks["model"], samples_of(experiment, 2).inputs)
    except Exception as error:  # a network may raise anything
        raise _refusal(experiment, f"does not run with the changed layers: {error}") from error


def _refusal(experiment: Experiment, rule: str, remedy: str = "Use --prune without --structured.") -> ConfigError:
    return ConfigError.one("model", experiment.config.model.option, rule, remedy, code="not-supported")
