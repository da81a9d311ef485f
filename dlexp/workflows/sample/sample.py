"""The workflow `dlexp sample`: samples of a generative run, reconstructions, and paths between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dlexp.artifacts.files.claims import claimed
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.split_accesses import log_split_access
from dlexp.assemble.experiment import Experiment, assemble
from dlexp.config.derive import Change
from dlexp.config.saved import load_saved
from dlexp.errors import ConfigError
from dlexp.tasks.generative.base import GenerativeTask, Sampling
from dlexp.text.time_format import now_utc
from dlexp.workflows.run_record.drift import check_evaluated
from dlexp.workflows.run_record.other_data import data_as_in
from dlexp.workflows.run_record.restore import RestoreOptions, load_eval_weights, restore_run
from dlexp.workflows.sample.files import write_samples
from dlexp.workflows.sample.maker import Progress, SampleMaker
from dlexp.workflows.sample.own_units import Array, OwnUnits
from dlexp.workflows.sample.plan import SamplePlan, check_possible, needs_data, plan_of
from dlexp.workflows.sample.request import SampleRequest, check_request


@dataclass(frozen=True)
class Made:
    """Samples of a run.

    Attributes:
        maker: What made them.
        plan: What they are.
        values: (N, *shape) in the units of the data.
        content: For sample.json.
    """

    maker: SampleMaker
    plan: SamplePlan
    values: Array
    content: dict[str, Any]


def sample_run(folder: Path, request: SampleRequest, progress: Progress = lambda done, total: None) -> dict[str, Any]:
    """Make samples with the run in `folder` and write them; returns the content of their JSON file.

    Args:
        folder: The directory of a run.
        request: What is wanted.
        progress: Called with the steps done and those in all.

    Raises:
        ConfigError: There is no run, or the request does not fit it.
        DataError: The data, which reconstructions need, have changed.
    """
    check_request(request)
    run = RunDir.find(folder)
    with claimed(run.path):
        made = make_samples(run, request, progress)
        place = request.out or run / "samples"
        return write_samples(place, request.mode, made.maker.units, made.values, made.plan, made.content)


def make_samples(run: RunDir, request: SampleRequest, progress: Progress = lambda done, total: None) -> Made:
    """The samples of a request; errors as of `sample_run`."""
    changes = {**request.changes, "trainer.compile": False}
    options = RestoreOptions(request.checkpoint, changes, request.trusted, request.allow_changes)
    restored = restore_run(run.path, options)
    experiment, changed = restored.experiment, list(restored.changed)
    units = OwnUnits(experiment.bundle.spec, restored.preprocess, restored.preprocessing)
    maker = SampleMaker.of(experiment, generative(experiment), units)
    check_possible(maker, request)
    data = None
    if needs_data(maker, request):
        data, changed = _with_data(run, request, changes)
        maker = SampleMaker.of(data, generative(data), units)
    plan = plan_of(maker, request, data)
    none = torch.empty(0, dtype=torch.int64)
    sampling = Sampling(request.seed, none, steps=request.steps, guidance=request.guidance)
    values = maker.decoded(plan.tiles, sampling, progress)
    split = request.split or "val"
    content = {
        "run": str(run.path),
        "mode": request.mode,
        "checkpoint": request.checkpoint,
        "seed": request.seed,
        **({"steps": request.steps} if request.steps is not None else {}),
        **({"guidance": request.guidance} if request.guidance is not None else {}),
        **({"split_accesses": log_split_access(run / "eval", split, request.checkpoint)} if data else {}),
        "made": now_utc(),
        "changed_since_training": [vars(change) for change in changed if change.path != "trainer.compile"],
    }
    return Made(maker, plan, values, content)


def generative(experiment: Experiment) -> GenerativeTask:
    """The task of an experiment. Raises ConfigError for one that makes no samples."""
    task = experiment.task
    if isinstance(task, GenerativeTask):
        return task
    rule = "makes no samples: it does not learn what its inputs are like"
    remedy = "Use a run of a generative model, such as model=vae"
    raise ConfigError.one("task", experiment.config.task.option, rule, remedy, code="incompatible-run")


def _with_data(run: RunDir, request: SampleRequest, changes: dict[str, Any]) -> tuple[Experiment, list[Change]]:
    """The experiment of a run with its data and its weights, and what has changed."""
    config = load_saved(run / "config.yaml", changes)
    experiment = assemble(config, request.trusted, data_as_in(run, config, request.trusted), is_for_training=False)
    changed = check_evaluated(run, experiment, request.changes, request.allow_changes)
    load_eval_weights(run, experiment, request.checkpoint)
    return experiment, changed
