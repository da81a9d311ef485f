"""The workflow `dlexp evaluate --ensemble`: several networks as one, and what that gains over each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.claims import claimed
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.split_accesses import log_split_access
from dlexp.findings import counted
from dlexp.metrics.ensembles.combination import Combination
from dlexp.workflows.ensemble.choose import best_member, chosen_ensemble
from dlexp.workflows.ensemble.collect import CollectedOutputs, collect_outputs
from dlexp.workflows.ensemble.gains import Rivals, Scores, blocks_of, diversity, gains, sample_scores
from dlexp.workflows.ensemble.members import ensemble_members
from dlexp.workflows.ensemble.outputs import combined_outputs
from dlexp.workflows.ensemble.request import CombineRequest
from dlexp.workflows.ensemble.write import write_combined
from dlexp.workflows.run_record.ensemble_record import EnsembleRecord, read_ensemble, refuse_checkpoint

_FEW = 200  # validation samples, below which chosen weights are mostly chance


def make_ensemble(folders: Sequence[Path], request: CombineRequest) -> Path:
    """Choose weights and temperature on the validation split, and write ensemble.json; returns its directory.

    Args:
        folders: Of runs, groups of seeds, sweeps and ensembles.
        request: Weights, vote, snapshots and the directory.

    Raises:
        ConfigError: Members that cannot be combined; nothing is written.
        DataError: The data has changed.
    """
    return _made(folders, request, ("val",))[0]


def evaluate_members(folders: Sequence[Path], request: CombineRequest) -> dict[str, Any]:
    """Make an ensemble and evaluate it; returns report.json, as `make_ensemble` and `evaluate_ensemble` do."""
    folder, record, collected = _made(folders, request, ("val", request.split))
    return _evaluated(folder, record, collected, request)


def evaluate_ensemble(folder: Path, request: CombineRequest) -> dict[str, Any]:
    """Evaluate an ensemble on a split as it was made; writes eval/<split>/ and returns report.json.

    Raises DlexpError for a run that is gone, and as `evaluate_members` does.
    """
    refuse_checkpoint(request.checkpoint)
    record = read_ensemble(folder)
    request = replace(request, vote=record.how.is_vote)
    collected = collect_outputs(record.members, (request.split,), request)
    return _evaluated(folder, record, collected, request)


def _made(
    folders: Sequence[Path], request: CombineRequest, splits: Sequence[str]
) -> tuple[Path, EnsembleRecord, CollectedOutputs]:
    request.check()
    members = ensemble_members(folders, request.checkpoint, snapshots=request.snapshots)
    collected = collect_outputs(members, splits, request)
    record = chosen_ensemble(collected, request)
    config = collected.experiment.config
    name = f"{config.model.option}-{config.data_name}-{len(members)}"
    folder = RunDir.create("ensemble", name, request.out).path
    with claimed(folder):
        record.write(folder)
    return folder, record, collected


def _evaluated(
    folder: Path, record: EnsembleRecord, collected: CollectedOutputs, request: CombineRequest
) -> dict[str, Any]:
    split, outputs = request.split, collected.outputs[request.split]
    combined = combined_outputs(outputs, record.how)
    own = sample_scores(combined, _temperature(record))
    rivals = Rivals(
        [member.label for member in record.members],
        [sample_scores(one, t) for one, t in zip(outputs, record.temperatures, strict=True)],
        best_member(record.val, record.how.is_vote),
        _equal_scores(record, collected, split),
        blocks_of(combined, collected.experiment),
    )
    facts = {
        **members_and_gains(record, rivals, own),
        "diversity": diversity(outputs, record.how.weights, collected.experiment),
        "notes": list(notes_on(record, request)),
    }
    place = (folder, split if not request.tta else f"{split}-tta")
    what = (split, record.members[0].checkpoint)
    with claimed(folder):
        content = write_combined(
            place, collected.experiment, what, combined, request.resampling, {"ensemble": facts}, collected.changed
        )
    for run, checkpoint in {member.run: member.checkpoint for member in record.members}.items():
        log_split_access(run / "eval", split, checkpoint)
    return content


def _temperature(record: EnsembleRecord) -> float | None:
    """The temperature that is still to be applied to the combined probabilities, for their calibrated log loss."""
    if record.temperature is None:
        return None
    return 1.0 if record.is_calibrated else record.temperature


def _equal_scores(record: EnsembleRecord, collected: CollectedOutputs, split: str) -> Scores | None:
    """The scores of the same members with equal weights; None where the weights are equal.

    Without a temperature fitted for them, they have no calibrated log loss.
    """
    if record.chosen == "equal":
        return None
    how = Combination.equal(len(record.members))
    return sample_scores(combined_outputs(collected.outputs[split], replace(how, is_vote=record.how.is_vote)))


def members_and_gains(record: EnsembleRecord, rivals: Rivals, own: Scores) -> dict[str, Any]:
    """The members with their weights and metrics, and the gains over them, as plain values."""
    gained = gains(own, rivals)
    rows = zip(record.members, record.how.weights, record.temperatures, record.val, rivals.scores, strict=True)
    return {
        "weights": record.chosen,
        "vote": record.how.is_vote,
        "calibrated": record.is_calibrated,
        "temperature": record.temperature,
        "best_on_val": rivals.names[rivals.best],
        "metrics": own.metrics(),
        "members": [
            {
                "run": str(member.run),
                "checkpoint": member.checkpoint,
                "label": member.label,
                "weight": weight,
                "temperature": temperature,
                "val": dict(val),
                "metrics": scores.metrics(),
                "gains": {name: found["members"][number] for name, found in gained.items()},
            }
            for number, (member, weight, temperature, val, scores) in enumerate(rows)
        ],
        "gains": {name: found["over"] for name, found in gained.items()},
    }


def notes_on(record: EnsembleRecord, request: CombineRequest) -> Sequence[str]:
    """What a reader of the gains must know."""
    found = []
    is_chosen = record.chosen not in ("equal", "uniform soup")
    fitted = [
        *(["weights"] if is_chosen else []),
        *(["temperatures"] if record.temperature is not None else []),
    ]
    if request.split == "val" and fitted:
        text = f"{' and '.join(fitted)} were fitted on these samples, so what rests on them is too good here"
        found.append(f"{text}; --split test has others")
    if is_chosen and record.val_samples < _FEW:
        count = counted(record.val_samples, "validation sample")
        found.append(f"the weights ({record.chosen}) were chosen on {count}, which say little")
    if request.split == "train":
        found.append("the members were trained on these samples, so this says nothing about new ones")
    return found
