"""The score that is explained for a run, the samples, and what a person calls them.

Symbols: B samples, C classes, O outputs, S the shape of a sample, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from dlexp.assemble.experiment import Experiment
from dlexp.data.tables.features.encodings import encoded_columns
from dlexp.errors import ConfigError
from dlexp.explain.methods import Subject
from dlexp.explain.parts import Parts
from dlexp.explain.score import NotExplained, Score, undisturbed
from dlexp.sequence_specs import TokenSpec
from dlexp.specs import ClassSpec, ImageSpec, LabelSpec, TableSpec, ValueSpec
from dlexp.tasks.base import forward
from dlexp.text.nearest import nearest_name
from dlexp.types import Batch, Field, Sequences, as_tensor
from dlexp.workflows.split_rows import samples_at

_BASELINE_SAMPLES = 1000  # training samples whose mean is the baseline
_TINY = 1e-12  # below every probability that a loss is computed from


@dataclass(frozen=True)
class Question:
    """Samples of a run and the output that is explained for each of them.

    Attributes:
        experiment: With the trained weights.
        batch: The B samples.
        outputs: (B, O) of the network, decoded: probabilities or scores of classes, or values in their own units.
        columns: (B,) int64: the class or value that is explained.
    """

    experiment: Experiment
    batch: Batch
    outputs: Tensor
    columns: Tensor

    @classmethod
    def of(cls, experiment: Experiment, batch: Batch, target: str) -> Question:
        """The question about `target`: predicted, true, or a name. Raises ConfigError for an unknown one."""
        outputs = decoded_outputs(experiment, batch.inputs)
        return cls(experiment, batch, outputs, _columns(experiment, batch, outputs, target))

    @property
    def unit(self) -> str:
        """What the score is."""
        if isinstance(self.experiment.bundle.spec.targets, ValueSpec):
            return "the value, in its own units"
        return "the network's output for the class, before any softmax"

    def score(self, network: nn.Module) -> Score:
        """The score for any network of the same form."""
        inputs, task = self.batch.inputs, self.experiment.task
        lengths = inputs.lengths if isinstance(inputs, Sequences) else None
        is_value = isinstance(self.experiment.bundle.spec.targets, ValueSpec)

        def found(values: Tensor, rows: Tensor) -> Tensor:
            outputs = forward(network, values if lengths is None else Sequences(values, lengths[rows]))
            which = self.columns[rows][:, None]
            if is_value:
                return task.decode(outputs).gather(1, which)[:, 0]
            if outputs.shape[1] == 1 and self.outputs.shape[1] == 2:  # one number separates two classes
                outputs = torch.cat([-outputs, outputs], dim=1)
            return outputs.gather(1, which)[:, 0]

        return found

    def subject(self, baseline: str) -> Subject:
        """The samples for the methods, with a baseline of `mean` or `zero`."""
        inputs = self.batch.inputs
        values = inputs.values if isinstance(inputs, Sequences) else as_tensor(inputs)
        spec = self.experiment.bundle.spec.inputs
        return Subject(
            values=values,
            numbers=self.batch.indices.tolist(),
            baseline=_baseline(self.experiment, values, baseline),
            parts=removable_parts(self.experiment, values),
            is_image=isinstance(spec, ImageSpec),
            score=self.score,
            attention=self._attention,
        )

    def _attention(self, network: nn.Module) -> Any:
        inputs, make = self.batch.inputs, cast(Callable[..., Any], network.attention_maps)
        return make(inputs.values, inputs.lengths) if isinstance(inputs, Sequences) else make(inputs)

    def facts(self) -> list[dict[str, Any]]:
        """row, true, predicted and explained of each sample."""
        spec, targets = self.experiment.bundle.spec, self.batch.targets
        names, found = spec.output_names, []
        is_value = isinstance(spec.targets, ValueSpec)
        for row, number in enumerate(self.batch.indices.tolist()):
            column = int(self.columns[row])
            sample: dict[str, Any] = {"row": number}
            if targets is not None and is_value:
                sample["true"] = float(as_tensor(targets)[row, column])
            elif targets is not None and isinstance(spec.targets, ClassSpec):
                sample["true"] = names[int(as_tensor(targets)[row])]
            outputs = self.outputs[row]
            sample["predicted"] = float(outputs[column]) if is_value else names[int(outputs.argmax())]
            found.append({**sample, "explained": names[column], "output": float(outputs[column])})
        return found


def check_explainable(experiment: Experiment) -> nn.Module:
    """The network that is explained. Raises NotExplained for a task with another kind of outputs."""
    spec = experiment.bundle.spec
    if not isinstance(spec.targets, ClassSpec | ValueSpec | LabelSpec) or "model" not in experiment.networks:
        rule = f"has outputs of another kind; {', '.join(('classes', 'labels', 'values'))} of a sample are explained"
        raise NotExplained(f"task={experiment.config.task.option} {rule}")
    network: nn.Module = experiment.networks["model"]
    return network


def decoded_outputs(experiment: Experiment, inputs: Field) -> Tensor:
    """(B, O): probabilities, scores or values of the network in evaluation mode, without gradients."""
    network = experiment.networks["model"]
    with undisturbed(network), torch.no_grad():
        return experiment.task.decode(forward(network, inputs).float())


def sample_losses(experiment: Experiment, batch: Batch, outputs: Tensor) -> tuple[Tensor, str]:
    """(B,) float64 how wrong each sample is, and in what: log loss, score margin or absolute error."""
    targets, outputs = as_tensor(batch.targets), outputs.double()
    match experiment.bundle.spec.targets:
        case ValueSpec() as spec if spec.num_outputs == 1:
            return (outputs - targets).abs()[:, 0], f"absolute error of {spec.names[0]}"
        case ValueSpec() as spec:
            std = torch.tensor(spec.std, dtype=torch.float64, device=outputs.device)
            return ((outputs - targets).abs() / std).mean(1), "absolute error in standard deviations"
        case LabelSpec():
            return (outputs - targets).abs().mean(1), "absolute error of the probabilities"
    right = outputs.gather(1, targets[:, None])[:, 0]
    if bool(((outputs.sum(1) - 1).abs() < 1e-4).all()) and bool((outputs >= 0).all()):
        return -right.clamp(min=_TINY).log(), "log loss"
    return outputs.amax(1) - right, "score of the predicted class less that of the true one"


def worst_positions(experiment: Experiment, split: str, count: int) -> list[int]:
    """Positions of the samples of a split with the largest losses, the worst first."""
    losses = [
        sample_losses(experiment, batch, decoded_outputs(experiment, batch.inputs))[0]
        for batch in experiment.split(split)
    ]
    order = torch.cat(losses).argsort(descending=True, stable=True)
    return [int(position) for position in order[:count]]


def part_names(experiment: Experiment, values: Tensor, row: int = 0) -> list[str]:
    """A name for each column of a table, or each token or step of a sequence; [] for images."""
    spec = experiment.bundle.spec.inputs
    if isinstance(spec, ImageSpec):
        return []
    if isinstance(spec, TableSpec):
        names, widths = _columns_of_table(experiment, values.shape[1])
        return names if sum(widths) == values.shape[1] else []
    vocabulary = spec.vocabulary if isinstance(spec, TokenSpec) else None
    if vocabulary is not None:
        return [f"{place + 1}: {vocabulary.tokens[int(token)]}" for place, token in enumerate(values[row])]
    return [f"step {place + 1}" for place in range(values.shape[1])]


def removable_parts(experiment: Experiment, values: Tensor) -> Parts:
    """What is removed at a time from samples such as `values`: pixels, columns or positions."""
    spec = experiment.bundle.spec.inputs
    if isinstance(spec, ImageSpec):
        return Parts.pixels(*values.shape[1:])
    if isinstance(spec, TableSpec):
        return Parts.columns(_columns_of_table(experiment, values.shape[1])[1])
    return Parts.positions(values.shape[1:])


def _columns_of_table(experiment: Experiment, features: int) -> tuple[list[str], list[int]]:
    """Names and numbers of features of the columns."""
    fits = encoded_columns(experiment.bundle.preprocessing)
    found = [(fit.name, fit.width) for fit in fits if fit.width]
    if sum(width for _, width in found) == features:
        return [name for name, _ in found], [width for _, width in found]
    return [f"feature {number + 1}" for number in range(features)], [1] * features


def _columns(experiment: Experiment, batch: Batch, outputs: Tensor, target: str) -> Tensor:
    """(B,) int64: the explained output of each sample."""
    spec = experiment.bundle.spec
    names = list(spec.output_names)
    if target in names:
        return torch.full((len(batch),), names.index(target), device=outputs.device)
    if isinstance(spec.targets, ValueSpec) and target in ("predicted", "true"):
        return torch.zeros(len(batch), dtype=torch.int64, device=outputs.device)
    if target == "predicted":
        return outputs.argmax(1)
    if target == "true" and isinstance(spec.targets, ClassSpec) and batch.targets is not None:
        return as_tensor(batch.targets).to(outputs.device)
    near = nearest_name(target, names)
    remedy = f"Did you mean {near}?" if near else ""
    rule = f"must be predicted, true or one of {', '.join(names[:20])}"
    raise ConfigError.one("--target", target, rule, remedy, code="unknown-value")


def _baseline(experiment: Experiment, values: Tensor, kind: str) -> Tensor:
    """What stands for an absent value, of a shape that broadcasts to `values`."""
    spec = experiment.bundle.spec.inputs
    if not values.is_floating_point():
        vocabulary = spec.vocabulary if isinstance(spec, TokenSpec) else None
        return torch.tensor(0 if vocabulary is None else vocabulary.unknown, dtype=values.dtype, device=values.device)
    if kind == "zero":
        return torch.zeros(1, dtype=values.dtype, device=values.device)
    count = len(experiment.bundle.splits["train"])
    chosen = np.linspace(0, count - 1, min(count, _BASELINE_SAMPLES)).round().astype(int)
    inputs = samples_at(experiment, "train", chosen.tolist()).inputs
    if isinstance(inputs, Sequences):
        kept = inputs.values[inputs.mask]
        return kept.mean(0) if len(kept) else torch.zeros(1, dtype=values.dtype, device=values.device)
    found = as_tensor(inputs)
    return found.mean((0, 2, 3))[:, None, None] if isinstance(spec, ImageSpec) else found.mean(0)


def losses_of(experiment: Experiment, batch: Batch) -> Callable[[Tensor], Tensor]:
    """(B, F) -> (B,): the loss of each sample of `batch` with other inputs."""

    def found(values: Tensor) -> Tensor:
        return sample_losses(experiment, batch, decoded_outputs(experiment, values))[0]

    return found
