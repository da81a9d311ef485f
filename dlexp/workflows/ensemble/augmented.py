"""The workflow `dlexp evaluate --tta`: the mean of the outputs of one network for several views of each sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.claims import claimed
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import Experiment
from dlexp.data.augment.views import NAMED, View, check_views
from dlexp.workflows.ensemble.choose import chosen_ensemble
from dlexp.workflows.ensemble.collect import CollectedOutputs, open_member, views_for
from dlexp.workflows.ensemble.evaluate import members_and_gains, notes_on
from dlexp.workflows.ensemble.gains import Rivals, diversity, sample_scores
from dlexp.workflows.ensemble.outputs import (
    SplitOutputs,
    check_averaged,
    combined_outputs,
    refuse_unscaled,
    split_outputs,
)
from dlexp.workflows.ensemble.request import CombineRequest
from dlexp.workflows.ensemble.write import write_combined
from dlexp.workflows.run_record.ensemble_record import EnsembleMember
from dlexp.workflows.run_record.restore import load_eval_weights


def evaluate_views(folder: Path, request: CombineRequest) -> dict[str, Any]:
    """Evaluate a run on the mean over views; writes eval/<split>-tta/ and returns report.json.

    The temperatures at which log losses are compared are fitted on the validation split.

    Raises:
        ConfigError: Views that these images cannot have, and outputs that have no mean.
        DataError: The data has changed.
    """
    request.check()
    check_views(request.tta)
    run, split = RunDir.find(folder), request.split
    with claimed(run.path):
        experiment, changed = open_member(run, request, None)
        check_averaged(experiment, request.vote)
        views = views_for(experiment, request.tta)
        load_eval_weights(run, experiment, request.checkpoint)
        wanted = dict.fromkeys(("val", split))
        outputs = {name: _of_views(experiment, name, views, request) for name in wanted}
        members = [EnsembleMember(run.path, request.checkpoint, view.name) for view in views]
        collected = CollectedOutputs(experiment, members, outputs, changed)
        record = chosen_ensemble(collected, request)
        found = outputs[split]
        combined = combined_outputs(found, record.how)
        scores = [sample_scores(one, t) for one, t in zip(found, record.temperatures, strict=True)]
        own = sample_scores(combined, 1.0 if record.is_calibrated else record.temperature)
        rivals = Rivals([view.name for view in views], scores, 0, best_label="the samples as they are")
        facts = members_and_gains(record, rivals, own)
        facts |= {
            "views": request.tta,
            "diversity": diversity(found, record.how.weights, experiment),
            "notes": [*notes_on(record, request), *mirror_notes(request.tta, experiment.bundle.mirrors)],
        }
        place, what = (run.path, f"{split}-tta"), (split, request.checkpoint)
        return write_combined(place, experiment, what, combined, request.resampling, {"ensemble": facts}, changed)


def mirror_notes(words: str, mirrors: bool) -> Sequence[str]:
    """A note on mirrored images of data such as digits, where the views mirror by their name."""
    if mirrors or words not in NAMED or "flip" not in words:
        return ()
    return ("mirrored images may not belong to any of these classes; --tta crop does not mirror",)


def _of_views(experiment: Experiment, split: str, views: Sequence[View], request: CombineRequest) -> list[SplitOutputs]:
    found = []
    for number, view in enumerate(views, start=1):
        request.say(f"view {number} of {len(views)} of the {split} split")
        made = split_outputs(experiment, split, view.transform)
        refuse_unscaled(made.meaning, request.vote, experiment.config.loss.option)
        found.append(made)
    return found
