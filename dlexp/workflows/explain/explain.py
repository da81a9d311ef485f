"""The workflow `dlexp explain`: attributions of a run for some samples, their checks, and the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dlexp.artifacts.files.claims import claimed
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.split_accesses import log_split_access
from dlexp.assemble.experiment import Experiment, assemble
from dlexp.compression.onnx_network import OnnxNetwork
from dlexp.config.saved import load_saved
from dlexp.errors import ConfigError
from dlexp.explain.methods import SIGNED, Attribution, Checks, MethodSettings, Subject, attribute, check_method
from dlexp.explain.permutation import correlated_groups, permutation_importance
from dlexp.explain.sanity import MeanInterval, rank_correlations
from dlexp.explain.score import NotExplained, undisturbed
from dlexp.kinds import describe_kind
from dlexp.specs import TableSpec
from dlexp.text.time_format import now_utc
from dlexp.types import as_tensor
from dlexp.workflows.explain.files import write_explanations, write_importances
from dlexp.workflows.explain.question import (
    Question,
    check_explainable,
    decoded_outputs,
    losses_of,
    part_names,
    removable_parts,
    sample_losses,
    worst_positions,
)
from dlexp.workflows.explain.request import ExplainRequest, check_request
from dlexp.workflows.run_record.drift import check_evaluated
from dlexp.workflows.run_record.other_data import data_as_in
from dlexp.workflows.run_record.restore import load_eval_weights
from dlexp.workflows.split_rows import positions_of, samples_at

_MOST_SHUFFLED = 5000  # samples of a split for permutation importance
_LARGE_ERROR = 0.01  # completeness error of integrated gradients over the change of the score


def explain_run(folder: Path, request: ExplainRequest) -> dict[str, Any]:
    """Explain samples of a run; writes explain/<method>/ in its directory and returns explain.json.

    Raises:
        ConfigError: There is no run, or the request does not fit it.
        NotExplained: The method cannot explain this network, with another one that can.
        DataError: The data have changed.
    """
    check_request(request)
    run = RunDir.find(folder)
    with claimed(run.path):
        config = load_saved(run / "config.yaml", {**request.changes, "trainer.compile": False})
        experiment = assemble(config, request.trusted, data_as_in(run, config, request.trusted), is_for_training=False)
        changed = check_evaluated(run, experiment, request.changes, request.allow_changes)
        load_eval_weights(run, experiment, request.checkpoint)
        check_explainable(experiment)
        work = _importances if request.method == "permutation" else _attributions
        content = work(run, experiment, request)
    content["changed_since_training"] = [vars(change) for change in changed if change.path != "trainer.compile"]
    return content


def _facts(run: RunDir, request: ExplainRequest) -> dict[str, Any]:
    return {
        "run": str(run.path),
        "method": request.method,
        "split": request.split,
        "checkpoint": request.checkpoint,
        "split_accesses": log_split_access(run / "eval", request.split, request.checkpoint),
        "explained": now_utc(),
    }


def _attributions(run: RunDir, experiment: Experiment, request: ExplainRequest) -> dict[str, Any]:
    """Explain the rows of the request, or the worst mistakes."""
    network = experiment.networks["model"]
    if isinstance(network, OnnxNetwork):
        rule = "an ONNX file of whole numbers has no weights and gradients, by which an explanation is made and checked"
        is_table = isinstance(experiment.bundle.spec.inputs, TableSpec)
        instead = ", or use --method permutation" if is_table else ""  # which is for tables
        raise NotExplained(f"{rule}. Explain the run that it was made of{instead}")
    settings = MethodSettings(experiment.config.seed, request.steps, window=request.window)
    if request.rows:
        positions = positions_of(experiment, request.split, request.rows)
    else:
        positions = worst_positions(experiment, request.split, request.count)
    question = Question.of(experiment, samples_at(experiment, request.split, positions), request.target)
    subject = question.subject(request.baseline)
    found = attribute(request.method, network, subject, settings)
    samples = _samples(question, subject, found)
    checks = _checked(experiment, request, settings)
    notes = [*_notes(found, samples, request), *_attention_notes(experiment, subject, found, request, settings)]
    content = {
        **_facts(run, request),
        "target": request.target,
        "score": question.unit,
        "baseline": request.baseline if subject.values.is_floating_point() else "the token of unknown words",
        "seed": settings.seed,
        "worst_mistakes": not request.rows,
        "signed": request.method in SIGNED,
        **({"layer": found.place[0]} if found.place else {}),
        "samples": samples,
        "shape": list(found.values.shape),
        "checks": None if checks is None else _check_facts(checks),
        "failures": [] if checks is None else checks.failures(),
        "notes": notes,
    }
    return write_explanations(
        run / "explain" / request.method, experiment, request.split, positions, subject, found, content
    )


def _samples(question: Question, subject: Subject, found: Attribution) -> list[dict[str, Any]]:
    """The samples with their scores, sums of attributions and, where there is one, completeness errors."""
    network = question.experiment.networks["model"]
    score = question.score(network)
    rows = torch.arange(len(subject.values), device=subject.values.device)
    start = subject.baseline.expand_as(subject.values)
    with undisturbed(network), torch.no_grad():
        scores, before = score(subject.values, rows), score(start, rows)
    samples = []
    for row, facts in enumerate(question.facts()):
        sample = {**facts, "score": float(scores[row]), "score_of_baseline": float(before[row])}
        if found.error is not None:
            apart = abs(sample["score"] - sample["score_of_baseline"])
            sample["completeness_error"] = float(found.error[row])
            sample["relative_error"] = abs(float(found.error[row])) / apart if apart else None
        sample["is_empty"] = not bool(found.values[row].count_nonzero())
        samples.append(sample)
    return samples


def _notes(found: Attribution, samples: Sequence[dict[str, Any]], request: ExplainRequest) -> list[str]:
    """What is wrong with the attributions of single samples."""
    notes = []
    empty = [str(sample["row"]) for sample in samples if sample["is_empty"]]
    if empty:
        why = "no map speaks for the output" if request.method == "gradcam" else "every attribution is 0"
        notes.append(f"nothing is shown for {', '.join(empty)}: {why}")
    rough = [sample for sample in samples if (sample.get("relative_error") or 0) > _LARGE_ERROR]
    if rough:
        most = max(sample["relative_error"] for sample in rough)
        share = f"the completeness error is up to {100 * most:.1f} % of the change of the score"
        notes.append(
            f"{share} for {', '.join(str(sample['row']) for sample in rough)}; add --steps {4 * request.steps}"
        )
    return notes


def _attention_notes(
    experiment: Experiment, subject: Subject, found: Attribution, request: ExplainRequest, settings: MethodSettings
) -> list[str]:
    """How attention agrees with occlusion: it need not show what the output depends on."""
    if request.method != "attention":
        return []
    hidden = attribute("occlusion", experiment.networks["model"], subject, settings).values
    agreement = float(rank_correlations(subject.parts.sums(found.values), subject.parts.sums(hidden)).mean())
    return [f"attention is no explanation: its mean rank correlation with occlusion is {agreement:.2f} here"]


def _checked(experiment: Experiment, request: ExplainRequest, settings: MethodSettings) -> Checks | None:
    """The checks of the method on evenly spaced samples of the split."""
    available = len(experiment.bundle.splits[request.split])
    count = min(request.checks, available)
    if count < 2:
        return None
    positions = np.linspace(0, available - 1, count).round().astype(int).tolist()
    question = Question.of(experiment, samples_at(experiment, request.split, positions), request.target)
    return check_method(request.method, experiment.networks["model"], question.subject(request.baseline), settings)


def _check_facts(checks: Checks) -> dict[str, Any]:
    return {
        "samples": checks.correlation.samples,
        "random_weights": {"entropy_rise": vars(checks.entropy_rise), "rank_correlation": vars(checks.correlation)},
        **{
            name: {"method": list(curves.method), "random": list(curves.random), "advantage": vars(curves.advantage)}
            for name, curves in (("deletion", checks.deletion), ("insertion", checks.insertion))
        },
    }


def _importances(run: RunDir, experiment: Experiment, request: ExplainRequest) -> dict[str, Any]:
    """Permutation importance of the columns of a table, over a split."""
    spec = experiment.bundle.spec.inputs
    if not isinstance(spec, TableSpec):
        rule = f"permutation importance is for tables; this run was trained on {describe_kind(spec.kind)}"
        raise NotExplained(f"{rule}. Use --method occlusion")
    if request.rows:
        rule = "has no effect: permutation importance is of a whole split"
        raise ConfigError.one("ROW", request.rows[0], rule, "Remove it, or use --method shapley", code="no-effect")
    available = len(experiment.bundle.splits[request.split])
    positions = np.linspace(0, available - 1, min(available, _MOST_SHUFFLED)).round().astype(int).tolist()
    batch = samples_at(experiment, request.split, positions)
    values, losses = as_tensor(batch.inputs), losses_of(experiment, batch)
    parts, names, seed = removable_parts(experiment, values), part_names(experiment, values), experiment.config.seed
    single = [(number,) for number in range(parts.count)]
    linked = correlated_groups(values, parts)
    found = permutation_importance(losses, values, parts, [*single, *linked], seed)
    unit = sample_losses(experiment, batch, decoded_outputs(experiment, values))[1]
    rows = [{"columns": [names[column] for column in each.columns], **_interval(each.increase)} for each in found]
    shown = sorted(rows[: parts.count], key=lambda row: -row["increase"])
    content = {
        **_facts(run, request),
        "loss": unit,
        "seed": seed,
        "loss_before": float(losses(values).double().mean()),
        "importances": shown,
        "correlated": rows[parts.count :],
        "failures": [],
        "notes": _correlation_notes(rows[parts.count :]),
    }
    return write_importances(run / "explain" / request.method, content)


def _interval(found: MeanInterval) -> dict[str, Any]:
    return {"increase": found.mean, "low": found.low, "high": found.high, "samples": found.samples}


def _correlation_notes(groups: Sequence[dict[str, Any]]) -> list[str]:
    """Columns that tell the same share their importance."""
    return [
        f"{', '.join(group['columns'])} tell much the same (rank correlation 0.8 or more), so each alone looks less "
        f"important; shuffled together they raise the loss by {group['increase']:.3g} ({group['low']:.3g} to "
        f"{group['high']:.3g})"
        for group in groups
    ]
