"""Several networks as one file: each decodes its own outputs, and their mean is what the file returns.

Symbols: K members, B samples, C classes, O values of a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dlexp.errors import ConfigError
from dlexp.kinds import describe_kind
from dlexp.metrics.ensembles.combination import Combination, OutputMeaning
from dlexp.runtime.tensors import sha256
from dlexp.sequence_specs import ForecastSpec
from dlexp.specs import ClassSpec, ValueSpec
from dlexp.tasks.base import Task
from dlexp.types import Prediction
from dlexp.workflows.export.pipeline import inference_pipeline
from dlexp.workflows.run_record.restore import RestoredRun


class DecodedNetwork(nn.Module):
    """A network and the decoding of its outputs by its task: probabilities, or values in their own units."""

    def __init__(self, network: nn.Module, task: Task) -> None:
        super().__init__()
        self.network = network
        self._task = task

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Inputs of the network, of sequences with their lengths (B,) -> (B, C) or (B, O)."""
        found = self.network(x) if lengths is None else self.network(x, lengths)
        return self._task.decode(found.float())


class EnsembleNetwork(nn.Module):
    """The weighted mean of the decoded outputs of K networks; of probabilities, never of logits.

    Args:
        members: K networks that put out (B, C) probabilities or scores, or (B, O) values.
        how: Weights, vote and temperature.
        meaning: Of what they put out.
    """

    def __init__(self, members: Sequence[nn.Module], how: Combination, meaning: OutputMeaning) -> None:
        super().__init__()
        self.members, self._how, self._meaning = nn.ModuleList(members), how, meaning

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Inputs of each network, of sequences with their lengths (B,) -> (B, C) or (B, O)."""
        found = [network(x) if lengths is None else network(x, lengths) for network in self.members]
        each = torch.stack(found)
        if self._how.is_vote:
            return self._how.combined(self._meaning, each.log() if self._meaning == "probabilities" else each)
        weights = torch.tensor(self._how.weights, dtype=each.dtype, device=each.device)[:, None, None]
        mean = (each * weights).sum(dim=0)
        if self._how.temperature == 1:
            return mean
        powers = mean ** (1 / self._how.temperature)
        return powers / powers.sum(dim=1, keepdim=True)


def ensemble_network(runs: Sequence[RestoredRun], how: Combination, with_preprocessing: bool) -> EnsembleNetwork:
    """The networks of several runs as one, in evaluation mode.

    Raises ConfigError for networks whose outputs have no mean, and for what --with-preprocessing does not support.
    """
    members: list[nn.Module] = []
    for run in runs:
        experiment = run.experiment
        spec, option = experiment.bundle.spec, experiment.config.task.option
        networks = experiment.networks
        known = isinstance(spec.targets, ClassSpec | ValueSpec | ForecastSpec)
        has_mean = isinstance(spec.targets, ForecastSpec) or experiment.task.sample_state() is not None
        if not known or not has_mean or set(networks) - set(experiment.task.own_networks()) != {"model"}:
            rule = f"outputs for {describe_kind(spec.target_kind)} of several networks have no mean"
            raise ConfigError.one("task", option, rule, "Export the runs one by one.", code="not-supported")
        if with_preprocessing and not (spec.inputs.shape and isinstance(spec.inputs.blank(), Tensor)):
            rule = f"is not supported for {describe_kind(spec.inputs.kind)}"
            raise ConfigError.one("--with-preprocessing", "true", rule, "Remove it.", code="not-supported")
        if with_preprocessing:
            members.append(inference_pipeline(run))
        else:
            members.append(DecodedNetwork(networks["model"], experiment.task))
    return EnsembleNetwork(members, how, _meaning(runs[0])).eval()


def _meaning(run: RestoredRun) -> OutputMeaning:
    spec, task = run.experiment.bundle.spec, run.experiment.task
    if not isinstance(spec.targets, ClassSpec):
        return "values"
    number = torch.zeros(1, dtype=torch.int64)
    blank = Prediction(torch.full((1, len(spec.output_names)), 0.5), number, torch.tensor(0.0), number)
    return "probabilities" if task.prediction_columns(spec, blank).meaning == "p" else "scores"


def ensemble_facts(runs: Sequence[RestoredRun], how: Combination) -> dict[str, Any]:
    """What a file of several networks says about them, in place of the facts of one."""
    weights = (value for run in runs for value in run.experiment.networks.state_dict().values())
    return {
        "members": [str(run.run.path.name) for run in runs],
        "member_weights": list(how.weights),
        "vote": how.is_vote,
        "temperature": how.temperature,
        "weights_sha256": sha256(weights),
    }


def output_meaning(runs: Sequence[RestoredRun], how: Combination) -> str:
    """The meaning of the outputs, for people."""
    of = f"of {len(runs)} networks"
    if not isinstance(runs[0].experiment.bundle.spec.targets, ClassSpec):
        return f"values in their own units, the mean {of}"
    return (
        f"shares of the votes {of} for the classes" if how.is_vote else f"probabilities of the classes, the mean {of}"
    )
