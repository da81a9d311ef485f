"""The workflow `dlexp evaluate --soup`: one network whose weights are the mean of those of several, as a run.

A soup costs at prediction what one network costs. It works where the networks lie in one valley of the loss: tuned from
the same weights, or snapshots of one run. Networks that began at different random weights have their features at
different places, and the mean of their weights is a network that knows nothing: the table shows it.

Source: Wortsman et al., Model Soups, ICML 2022, arXiv:2203.05482. The statistics of normalizations belong to the
weights they were measured with, so they are measured again on the training samples, without augmentation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore
from dlexp.artifacts.files.writing import write_json
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.assemble.experiment import Experiment
from dlexp.config.saved import read_overrides
from dlexp.engine.evaluate import Evaluation, evaluate
from dlexp.engine.norm_statistics import measure_statistics
from dlexp.engine.state import load_weights
from dlexp.errors import ConfigError, Problem
from dlexp.metrics.ensembles.combination import Combination, unit_sum
from dlexp.metrics.states import MetricState
from dlexp.regularization.weight_averaging import running_norms
from dlexp.types import Batch
from dlexp.workflows.ensemble.choose import best_member, chosen_ensemble
from dlexp.workflows.ensemble.collect import CollectedOutputs, collect_outputs
from dlexp.workflows.ensemble.evaluate import members_and_gains, notes_on
from dlexp.workflows.ensemble.gains import Rivals, blocks_of, diversity, sample_scores
from dlexp.workflows.ensemble.members import ensemble_members
from dlexp.workflows.ensemble.outputs import SplitOutputs, split_outputs
from dlexp.workflows.ensemble.request import CombineRequest
from dlexp.workflows.evaluate.evaluate import write_evaluation
from dlexp.workflows.run_record.ensemble_record import SNAPSHOT_NAME, EnsembleMember
from dlexp.workflows.run_record.restore import eval_weights_of
from dlexp.workflows.run_record.write import experiment_facts, write_request

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class _Soup:
    """Weights of the mean, which ingredients are in it, and its outputs on the validation split."""

    weights: Weights
    used: tuple[int, ...]
    val: SplitOutputs


def make_soup(folders: Sequence[Path], request: CombineRequest) -> dict[str, Any]:
    """Average the weights of runs into a new run, evaluate it, and return its report.json.

    Args:
        folders: Of runs, groups of seeds, sweeps; with `snapshots` of runs with snapshots.
        request: uniform: all ingredients; greedy: in the order of their validation loss, each that does not make it
            worse.

    Raises:
        ConfigError: Ingredients of other shapes, data or preprocessing; nothing is written.
    """
    request.check()
    members = ensemble_members(folders, request.checkpoint, snapshots=request.snapshots, word="--soup")
    _refuse_other_inputs(members)
    ingredients = [eval_weights_of(RunDir.find(member.run), member.checkpoint) for member in members]
    _refuse_other_shapes(members, ingredients)
    collected = collect_outputs(members, ("val", request.split), request)
    experiment, values = collected.experiment, [sample_scores(one).metrics() for one in collected.outputs["val"]]
    first = best_member(values, vote=False)
    soup = _uniform(experiment, ingredients) if request.soup == "uniform" else _greedy(experiment, ingredients, values)
    _put_in(experiment, soup.weights)
    run = RunDir.create("train", f"{experiment.config.run_name}-soup", request.out)
    with run.lock():
        source = members[0].run
        write_request(run, experiment, read_overrides(source / "overrides.yaml"), (request.command,))
        run.point_latest()
        run.list_elsewhere(request.say)
        with run.recording(experiment.config.trainer.epochs):
            _write_run(run, experiment, members, soup, request)
            return _evaluated(run, collected, soup, first, request)


def _uniform(experiment: Experiment, ingredients: Sequence[Weights]) -> _Soup:
    return _soup(experiment, ingredients, range(len(ingredients)))


def _greedy(
    experiment: Experiment, ingredients: Sequence[Weights], values: Sequence[Mapping[str, float | None]]
) -> _Soup:
    """Add each ingredient, the best first, that does not make the validation loss of the mean worse."""
    left = list(range(len(ingredients)))
    order: list[int] = []
    while left:
        order.append(left.pop(best_member([values[number] for number in left], vote=False)))
    found = _soup(experiment, ingredients, order[:1])
    for number in order[1:]:
        tried = _soup(experiment, ingredients, (*found.used, number))
        before, after = (sample_scores(one.val).metrics() for one in (found, tried))
        if best_member([after, before], vote=False) == 0:
            found = tried
    return found


def _soup(experiment: Experiment, ingredients: Sequence[Weights], used: Sequence[int]) -> _Soup:
    """The mean of some ingredients, with statistics that belong to it."""
    _put_in(experiment, mean_weights([ingredients[number] for number in used]))
    if len(used) > 1 and running_norms(experiment.networks):
        experiment.networks.train()
        measure_statistics(experiment.task, experiment.networks, _training_batches(experiment), experiment.precision)
        experiment.networks.eval()
    weights = {name: value.detach().clone() for name, value in experiment.networks.state_dict().items()}
    return _Soup(weights, tuple(used), split_outputs(experiment, "val"))


def mean_weights(ingredients: Sequence[Weights]) -> dict[str, Tensor]:
    """The mean of each tensor of real numbers, in float64; of others, such as counts, those of the first."""
    first = ingredients[0]
    return {
        name: (
            torch.stack([one[name].double() for one in ingredients]).mean(dim=0).to(value.dtype)
            if value.is_floating_point()
            else value
        )
        for name, value in first.items()
    }


def _put_in(experiment: Experiment, weights: Weights) -> None:
    load_weights(experiment.networks, experiment.trained_weights(weights))


def _training_batches(experiment: Experiment) -> Iterator[Batch]:
    """The training inputs in order, unchanged; a last batch of one sample has no variance and is skipped."""
    for number, batch in enumerate(experiment.split("train")):
        if number == 0 or len(batch) > 1:
            yield batch


def _refuse_other_inputs(members: Sequence[EnsembleMember]) -> None:
    found = [read_run_file(member.run / "preprocessing.json") for member in members]
    problems = [
        Problem(
            str(member.run),
            "",
            f"preprocesses inputs in another way than {members[0].run}, so their weights have no common meaning",
            "Use --ensemble in place of --soup",
            code="incompatible-run",
        )
        for member, own in zip(members, found, strict=True)
        if own != found[0]
    ]
    if problems:
        raise ConfigError(problems)


def _refuse_other_shapes(members: Sequence[EnsembleMember], ingredients: Sequence[Weights]) -> None:
    shapes = [{name: tuple(value.shape) for name, value in one.items()} for one in ingredients]
    problems = []
    for member, own in zip(members, shapes, strict=True):
        apart = sorted(name for name in own.keys() | shapes[0].keys() if own.get(name) != shapes[0].get(name))
        if apart:
            rule = f"has other weights than {members[0].run} ({', '.join(apart[:3])}), and a soup is their mean"
            remedy = "Use --ensemble in place of --soup"
            problems.append(Problem(str(member.run), "", rule, remedy, code="incompatible-weights"))
    if problems:
        raise ConfigError(problems)


def _write_run(
    run: RunDir, experiment: Experiment, members: Sequence[EnsembleMember], soup: _Soup, request: CombineRequest
) -> None:
    """The checkpoint and summary.json, as `dlexp train` leaves them."""
    metrics = _measured(experiment, "val", experiment.metrics.epoch_state()).metrics
    position = {"epoch": 0, "batch": 0, "step": 0}
    content = {"networks": experiment.networks.state_dict(), "position": position, "metrics": metrics}
    CheckpointStore(run / "checkpoints", lambda text: None).save_best(content)
    used = [members[number] for number in soup.used]
    summary = {
        "run": str(run.path),
        "soup": request.soup,
        "ingredients": [{"run": str(one.run), "checkpoint": one.checkpoint} for one in used],
        "reason": f"the mean of the weights of {len(used)} of {len(members)} networks; nothing was trained",
        "monitor": experiment.config.monitor,
        "best_epoch": 0,
        "best": metrics,
        "epochs": 0,
        "updates": 0,
        "seconds": 0.0,
        **experiment_facts(experiment),
    }
    write_json(run / "summary.json", summary)


def _measured(experiment: Experiment, split: str, state: MetricState) -> Evaluation:
    batches, seed = experiment.split(split), experiment.config.seed
    return evaluate(experiment.task, experiment.networks, batches, experiment.precision, state, seed=seed)


def _evaluated(
    run: RunDir, collected: CollectedOutputs, soup: _Soup, first: int, request: CombineRequest
) -> dict[str, Any]:
    """Evaluate the soup like any other run, beside its ingredients."""
    experiment, split = collected.experiment, request.split
    result = _measured(experiment, split, experiment.metrics.report_state())
    content = write_evaluation(run, experiment, (split, "best"), result, collected.changed, request.resampling)
    outputs = collected.outputs[split]
    own = split_outputs(experiment, split)
    weights = unit_sum([float(number in soup.used) for number in range(len(outputs))])
    val = dict(collected.outputs) | {"val": [*collected.outputs["val"], soup.val]}
    fitted = chosen_ensemble(replace(collected, outputs=val), request)  # temperatures of the ingredients, and its own
    record = replace(
        fitted,
        chosen=f"{request.soup} soup",
        how=Combination(weights),
        temperature=fitted.temperatures[-1],
        temperatures=fitted.temperatures[:-1],
        val=fitted.val[:-1],
    )
    scores = [sample_scores(one, t) for one, t in zip(outputs, record.temperatures, strict=True)]
    labels = [member.label for member in collected.members]
    rivals = Rivals(labels, scores, first, None, blocks_of(own, experiment))
    notes = [*notes_on(record, request), *_started_apart(collected.members)]
    facts = members_and_gains(record, rivals, sample_scores(own, record.temperature))
    facts |= {"diversity": diversity(outputs, weights, experiment), "notes": notes, "soup": request.soup}
    content["ensemble"] = facts
    write_json(run / "eval" / split / "report.json", content)
    return content


def _started_apart(members: Sequence[EnsembleMember]) -> Iterator[str]:
    """A note on ingredients that did not begin at the same weights."""
    is_of_snapshots = all(member.checkpoint.startswith(SNAPSHOT_NAME) for member in members)
    if is_of_snapshots and len({member.run for member in members}) == 1:
        return
    starts = set()
    for member in members:
        config = read_run_file(member.run / "meta.json").get("config", {})
        start = config.get("init_from")
        starts.add(start or f"seed {config.get('seed')}, {config.get('model')}")
    if len(starts) > 1:
        yield (
            "the ingredients did not begin at the same weights (init_from, or seed and model), so their mean is hardly "
            "a trained network; use --ensemble for them"
        )
