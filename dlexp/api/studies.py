"""Comparing, searching and range tests in Python, as `dlexp compare`, `dlexp tune` and `dlexp lr-find`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dlexp.api.arguments import Overrides, data_argument, override_words
from dlexp.api.calls import explains_its_arguments
from dlexp.api.results import ComparisonResult, DoctorResult, LrFindResult, StudyResult
from dlexp.api.run import Run
from dlexp.api.run_group import RunGroup
from dlexp.api.session import catalog_of, session, trusted_of_call
from dlexp.api.study_process import StudyCall, run_study
from dlexp.artifacts.files.new_folder import refuse_bad_name
from dlexp.artifacts.runs.run_dir import named_run, outputs_root
from dlexp.errors import ConfigError
from dlexp.text.time_format import stamp


@explains_its_arguments
def compare(
    runs: Sequence[Run | RunGroup | str | Path],
    *,
    metric: str | None = None,
    split: str | None = None,
    by: Sequence[str] = (),
) -> ComparisonResult:
    """Compare configurations, as `dlexp compare` does.

    Args:
        runs: Runs and groups of seeds, or their directories or IDs. Runs that differ in the seed alone are one group.
        metric: accuracy, balanced_accuracy, log_loss, mae or mse; None for the default of the task.
        split: None for test if all runs were evaluated on it, otherwise val.
        by: Keys whose values define a group, such as "model".

    Raises:
        ConfigError: Fewer than two runs have finished an epoch, or they were not evaluated on the same samples.
    """
    folders = [run.path if isinstance(run, Run | RunGroup) else named_run(str(run)) for run in runs]
    keys = (by,) if isinstance(by, str) else tuple(by)
    with session():
        from dlexp.workflows.compare import compare as workflow

        found = workflow.compare(folders, workflow.CompareOptions(metric=metric, split=split, by=keys))
        return ComparisonResult(found.verdict, found.metric, found.notes, found.as_dict())


@explains_its_arguments
def lr_find(
    *overrides: Overrides,
    data: object | None = None,
    target: object | None = None,
    min_lr: float = 1e-7,
    max_lr: float = 10.0,
    steps: int = 100,
    loss: str = "train",
    trust: Sequence[str] = (),
    progress: bool = True,
) -> LrFindResult:
    """Look for a learning rate with a range test, as `dlexp lr-find` does.

    Args:
        overrides: As of `train`.
        data: As of `train`.
        target: As of `train`.
        min_lr: First learning rate, > 0.
        max_lr: Last learning rate, at least 10 min_lr.
        steps: Updates from min_lr to max_lr, >= 20.
        loss: train: of each batch; val: of fixed validation samples after each update.
        trust: Packages of your own that the configuration may import.
        progress: Show the progress.

    Returns:
        The result; its `suggestion` is None if the curve is not clear.
    """
    catalog, words = catalog_of(()), override_words(overrides)
    argument = data_argument(data, target, words, catalog)
    typed, trusted = (*words, *argument.words), trusted_of_call(trust)
    with session(argument.given):
        from dlexp.api.progress import progress_of
        from dlexp.config.compose import load
        from dlexp.workflows.lr_find import lr_find as workflow
        from dlexp.workflows.lr_find.result import FindRequest, why_none
        from dlexp.workflows.lr_find.settings import SweepSettings

        settings = SweepSettings(min_lr, max_lr, steps, loss=loss)
        settings.check()
        config = load(typed, catalog)
        display = progress_of(progress)
        request = FindRequest(typed, f"dlexp.lr_find({', '.join(map(repr, typed))})", trusted=trusted)
        found = workflow.lr_find(config, settings, request, display)
        reasons = why_none(found) if found["suggestion"] is None else ""
        return LrFindResult(Path(found["run"]), found["suggestion"], reasons, found)


@explains_its_arguments
def doctor(
    *overrides: Overrides,
    data: object | None = None,
    target: object | None = None,
    config_dirs: Sequence[str | Path] = (),
    trust: Sequence[str] = (),
    progress: bool = True,
) -> DoctorResult:
    """Check in about a minute what `train` with the same arguments would run, as `dlexp doctor` does.

    Args:
        overrides: As of `train`.
        data: As of `train`.
        target: As of `train`.
        config_dirs: Directories of your own options.
        trust: Packages of your own that the configuration may import.
        progress: Show what is being measured.

    Returns:
        The findings and the table of checks; nothing is written.
    """
    catalog, words = catalog_of(config_dirs), override_words(overrides)
    if words and "=" not in words[0]:
        rule = "must be KEY=VALUE; a run is diagnosed by its own method"
        remedy = f"Use dlexp.load({words[0]!r}).doctor()"
        raise ConfigError.one(words[0], "", rule, remedy, code="invalid-syntax")
    argument = data_argument(data, target, words, catalog)
    typed, trusted = (*words, *argument.words), trusted_of_call(trust)
    with session(argument.given):
        from dlexp.api.progress import say_of
        from dlexp.workflows.doctor.examine import ExamineRequest, typed_options
        from dlexp.workflows.doctor.preflight import preflight

        options = typed_options(config_dirs, trust)
        request = ExamineRequest(trusted=trusted, options=options, say=say_of(progress))
        return DoctorResult(preflight(typed, catalog, request).as_dict())


@explains_its_arguments
def study(
    *overrides: Overrides,
    data: object | None = None,
    target: object | None = None,
    trials: int = 50,
    name: str | None = None,
    jobs: int = 1,
    stacked: int = 1,
    config_dirs: Sequence[str | Path] = (),
    trust: Sequence[str] = (),
    progress: bool = True,
) -> StudyResult:
    """Search for hyperparameters, as `dlexp tune` does, in a process of its own.

    Args:
        overrides: As of `train`; keys of `search` too, such as "search.hours=1".
        data: As of `train`.
        target: As of `train`.
        trials: The total number of trials of the study.
        name: The directory is outputs/tune/NAME; the study in it is continued if it exists.
        jobs: Trials that run at the same time, in processes of their own.
        stacked: Trials that are trained together in a process, as one network where their shapes allow.
        config_dirs: Directories of your own options.
        trust: Packages of your own that the configuration may import.
        progress: Print a line per finished trial.

    Raises:
        ConfigError: Mistakes in the arguments.
        NoResult: No trial has a result.
        Interrupted: Stopped by Ctrl-C; the same call with its `name` continues.
    """
    catalog, words = catalog_of(config_dirs), override_words(overrides)
    argument = data_argument(data, target, words, catalog)
    for key, number in (("trials", trials), ("jobs", jobs), ("stacked", stacked)):
        if number < 1:
            raise ConfigError.one(key, number, "must be a whole number >= 1", code="out-of-range")
    if name is not None:
        refuse_bad_name("name", name)
    folder = outputs_root() / "tune" / (name or f"{stamp()}-study")
    folders = tuple(map(str, config_dirs))
    typed, trusted = (*words, *argument.words), trusted_of_call(trust)
    call = StudyCall(typed, argument.given, str(folder), trials, (jobs, stacked), folders, trusted)
    with session():
        from dlexp.api.progress import Messages

        return StudyResult(folder, run_study(call, Messages().say if progress else None))
