"""Opens the members of an ensemble one after the other and keeps their outputs on some splits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import Experiment, assemble
from dlexp.config.derive import Change
from dlexp.config.saved import load_saved
from dlexp.config.schema.run import RunConfig
from dlexp.data.augment.views import View, views_of
from dlexp.data.bundle import DataBundle
from dlexp.errors import ConfigError
from dlexp.kinds import describe_kind
from dlexp.specs import ImageSpec
from dlexp.workflows.ensemble.outputs import SplitOutputs, averaged_views, check_averaged, refuse_unscaled
from dlexp.workflows.ensemble.request import CombineRequest
from dlexp.workflows.run_record.drift import check_evaluated
from dlexp.workflows.run_record.ensemble_record import EnsembleMember
from dlexp.workflows.run_record.other_data import data_as_in
from dlexp.workflows.run_record.restore import load_eval_weights


@dataclass(frozen=True)
class CollectedOutputs:
    """The outputs of all members.

    Attributes:
        experiment: Of the first member, for reports.
        members: In the order of `outputs`.
        outputs: Split -> the outputs of each member.
        changed: Changes since the members were trained.
    """

    experiment: Experiment
    members: Sequence[EnsembleMember]
    outputs: Mapping[str, Sequence[SplitOutputs]]
    changed: Sequence[Change]


def collect_outputs(
    members: Sequence[EnsembleMember], splits: Iterable[str], request: CombineRequest
) -> CollectedOutputs:
    """The outputs of each member on each split, with the mean over its views where the request names some.

    Members whose runs read the same data share it; the networks of the first and of one more are in memory.

    Raises:
        ConfigError: Outputs that cannot be combined, and an edited configuration.
        DataError: The data has changed.
        DlexpError: A checkpoint does not exist, or the samples of two members are not the same.
    """
    wanted = list(dict.fromkeys(splits))
    first: Experiment | None = None
    current: tuple[EnsembleMember, Experiment] | None = None
    outputs: dict[str, list[SplitOutputs]] = {split: [] for split in wanted}
    changed: dict[str, Change] = {}
    for number, member in enumerate(members, start=1):
        request.say(f"{member.label or member.run} ({number} of {len(members)})")
        run = RunDir.find(member.run)
        if current is None or current[0].run != member.run:
            experiment, found = open_member(run, request, None if current is None else current[1])
            changed |= {change.path: change for change in found}
        else:
            experiment = current[1]
        load_eval_weights(run, experiment, member.checkpoint)
        current, first = (member, experiment), first or experiment
        check_averaged(experiment, request.vote)
        views = views_for(experiment, request.tta)
        for split in wanted:
            made = averaged_views(experiment, split, views)
            refuse_unscaled(made.meaning, request.vote, experiment.config.loss.option)
            _refuse_others(outputs[split], made, member, members)
            outputs[split].append(made)
    assert first is not None
    return CollectedOutputs(first, members, outputs, list(changed.values()))


def open_member(run: RunDir, request: CombineRequest, before: Experiment | None) -> tuple[Experiment, Sequence[Change]]:
    """The experiment of a run without its trained weights, and what changed since it was trained.

    before  one whose data is shared, if both runs read the same
    """
    config = load_saved(run / "config.yaml", dict(request.changes))
    is_same = before is not None and _data_of(before.config) == _data_of(config)
    bundle: DataBundle = before.bundle if before is not None and is_same else data_as_in(run, config, request.trusted)
    experiment = assemble(config, request.trusted, bundle)
    return experiment, check_evaluated(run, experiment, request.changes, request.allow_changes)


def views_for(experiment: Experiment, words: str) -> Sequence[View]:
    """The views of test-time augmentation for the images of a run; () for no words."""
    if not words:
        return ()
    refuse_without_images(experiment, words)
    return views_of(words, experiment.bundle.recipe, experiment.bundle.pad, experiment.config.seed)


def refuse_without_images(experiment: Experiment, words: str) -> None:
    """Raise ConfigError for views of anything else than images."""
    inputs = experiment.bundle.spec.inputs
    if not isinstance(inputs, ImageSpec):
        rule = f"is for images, and this run reads {describe_kind(inputs.kind)}"
        raise ConfigError.one("--tta", words, rule, "Remove it.", code="not-supported")


def _data_of(config: RunConfig) -> object:
    return config.tree["data"], config.anomalies, config.tree["task"].get("_range_")


def _refuse_others(
    before: Sequence[SplitOutputs], made: SplitOutputs, member: EnsembleMember, members: Sequence[EnsembleMember]
) -> None:
    if not before:
        return
    first = before[0]
    is_same = first.meaning == made.meaning and torch.equal(first.indices, made.indices)
    if is_same and first.outputs.shape == made.outputs.shape and torch.equal(first.targets, made.targets):
        return
    rule = f"has other samples, outputs or true values than {members[0].run}"
    remedy = "Use runs of the same data, split and task, whose losses make the same kind of outputs."
    raise ConfigError.one(str(member.run), "", rule, remedy, code="incompatible-run")
