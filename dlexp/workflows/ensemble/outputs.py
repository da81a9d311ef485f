"""The outputs of networks for all samples of a split, as they are combined and compared.

Symbols: K members, N samples, C classes, O values of a sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.assemble.experiment import Experiment
from dlexp.data.augment.views import View
from dlexp.data.columns import Transform
from dlexp.data.loaders import EvalBatches
from dlexp.engine.evaluate import predictions, seeded
from dlexp.errors import ConfigError
from dlexp.kinds import describe_kind
from dlexp.metrics.ensembles.combination import Combination, OutputMeaning, outputs_of, prediction_of
from dlexp.runtime.seed import kept_randomness
from dlexp.sequence_specs import ForecastSpec
from dlexp.specs import ClassSpec, DataSpec, ValueSpec
from dlexp.types import Prediction


@dataclass(frozen=True)
class SplitOutputs:
    """The outputs of one network, or of several as one, for N samples.

    meaning  of `outputs`; shares of votes are scores
    outputs  (N, C) ln of probabilities, or scores; (N, O) values in their own units; float64
    targets  (N,) class numbers, or (N, O) values
    indices  (N,) the number of each sample in its source
    extra    more values of each sample, such as quantiles, (N, O) each
    """

    meaning: OutputMeaning
    outputs: Tensor
    targets: Tensor
    indices: Tensor
    extra: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def numbers(self) -> NDArray[np.float64]:
        """`outputs` as an array."""
        return np.asarray(self.outputs.numpy(), np.float64)

    def prediction(self) -> Prediction:
        """All samples as one batch of predictions, with a loss of 0: no network was trained by that of several."""
        like = Prediction(self.outputs, self.targets, torch.tensor(0.0), self.indices)
        is_vote = self.meaning != "probabilities"
        return prediction_of(self.meaning, self.outputs, like, is_vote, dict(self.extra))


def check_averaged(experiment: Experiment, vote: bool) -> None:
    """Raise ConfigError, with the reason, for a task whose outputs have no mean.

    vote  whether members vote for classes
    """
    spec, task, option = experiment.bundle.spec, experiment.task, experiment.config.task.option
    reason = ""
    if isinstance(spec.targets, ForecastSpec) and not vote:
        return
    if not isinstance(spec.targets, ClassSpec | ValueSpec):
        what = describe_kind(spec.target_kind)
        reason = f"its outputs are for {what}, and sequences, texts and samples of several networks have no mean"
    elif task.sample_state() is None:
        reason = "its networks put out neither classes nor values: axes of two embeddings have nothing in common"
    elif vote and not isinstance(spec.targets, ClassSpec):
        raise ConfigError.one("--vote", "", "is for classes, and values have none", "Remove it.", code="not-supported")
    if reason:
        rule = f"cannot be combined: {reason}"
        raise ConfigError.one("task", option, rule, "Evaluate the runs one by one.", code="not-supported")


def split_outputs(experiment: Experiment, split: str, transform: Transform | None = None) -> SplitOutputs:
    """The outputs of a network for all samples of a split, in order; `transform` is a view of them."""
    config, spec = experiment.config, experiment.bundle.spec
    batches = EvalBatches(experiment.bundle, split, config.eval_batch_size, experiment.device, transform)
    meaning: OutputMeaning | None = None
    columns: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    extra: dict[str, list[Tensor]] = {}
    seeds = seeded(batches, config.seed)
    with (
        kept_randomness(),
        closing(predictions(experiment.task, experiment.networks, seeds, experiment.precision)) as found,
    ):
        for one in found:
            meaning = meaning or meaning_of(experiment, spec, one)
            values = outputs_of(meaning, one), one.known_targets.cpu(), one.indices.cpu()
            for column, part in zip(columns, values, strict=True):
                column.append(part)
            for name, more in one.extra.items():
                extra.setdefault(name, []).append(more.cpu().double())
    assert meaning is not None  # a split has samples
    outputs, targets, indices = map(torch.cat, columns)
    return SplitOutputs(meaning, outputs, targets, indices, {name: torch.cat(parts) for name, parts in extra.items()})


def meaning_of(experiment: Experiment, spec: DataSpec, prediction: Prediction) -> OutputMeaning:
    """What the outputs of a network are: probabilities or scores of classes, or values."""
    if not isinstance(spec.targets, ClassSpec):
        return "values"
    return "probabilities" if experiment.task.prediction_columns(spec, prediction).meaning == "p" else "scores"


def combined_outputs(found: Sequence[SplitOutputs], how: Combination) -> SplitOutputs:
    """The outputs of several networks as those of one."""
    first = found[0]
    outputs = how.combined(first.meaning, torch.stack([one.outputs for one in found]))
    extra = {
        name: torch.stack([w * one.extra[name] for w, one in zip(how.weights, found, strict=True)]).sum(dim=0)
        for name in first.extra
    }
    return replace(first, outputs=outputs, extra=extra, meaning="scores" if how.is_vote else first.meaning)


def averaged_views(experiment: Experiment, split: str, views: Sequence[View]) -> SplitOutputs:
    """The mean over the views of one network; without views the outputs for the samples as they are."""
    if not views:
        return split_outputs(experiment, split)
    found = [split_outputs(experiment, split, view.transform) for view in views]
    return combined_outputs(found, Combination.equal(len(found)))


def refuse_unscaled(meaning: OutputMeaning, vote: bool, option: str) -> None:
    """Raise ConfigError for scores that are to be averaged: those of two networks need not be on one scale."""
    if meaning == "scores" and not vote:
        rule = (
            "makes scores and no probabilities, and scores of two networks have no common scale, so they have no mean"
        )
        raise ConfigError.one("loss", option, rule, "Add --vote", code="not-supported")
