"""The command `dlexp train -m`: runs or resumes a sweep, or lists its jobs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dlexp.cli.argv import CommonOptions
from dlexp.cli.commands.configuration import configuration, resumed_sweep, trusted_of
from dlexp.cli.style import print_json
from dlexp.config.files.catalog import Catalog
from dlexp.config.files.own_folders import folder_of_variable
from dlexp.errors import ConfigError

if TYPE_CHECKING:
    from dlexp.cli.commands.configuration import TrainArguments
    from dlexp.config.sweep import SweepJob


def sweep(arguments: TrainArguments, common: CommonOptions, catalog: Catalog, quiet: bool, as_json: bool) -> None:
    """Run or resume a sweep, or list its jobs; the exit code is 1 unless all jobs have finished."""
    from dlexp.cli.views.training import sweep as view

    folder = resumed_sweep(arguments.resume) if arguments.resume is not None else _folder(arguments)
    jobs = () if arguments.resume is not None else _jobs(arguments, catalog)
    if arguments.resume is not None and arguments.overrides:
        rule = "cannot be overridden when resuming a sweep"
        raise ConfigError.one(
            "--resume", " ".join(arguments.overrides), rule, "Start a new sweep with -m.", code="not-supported"
        )
    trusted = trusted_of(common)
    from dlexp.workflows.sweep import sweep as workflow

    if arguments.dry_run:
        built = workflow.check_jobs(jobs, trusted, arguments.jobs)[0]
        if as_json:
            print_json([_as_dict(number, job) for number, job in enumerate(built)])
        else:
            view.list_jobs(built, _shared_options(arguments, common))
        return
    if arguments.from_run is not None:  # overrides.yaml of a job must contain all overrides, to be repeatable
        before = configuration((), arguments.from_run, catalog)[1]
        jobs = tuple(replace(job, overrides=(*before, *job.overrides)) for job in jobs)
    request = workflow.SweepRequest(
        _typed(arguments),
        common.command,
        folder,
        arguments.jobs,
        trusted,
        allow_changes=arguments.allow_changes,
        is_stacked=arguments.is_stacked,
    )
    shown = view.progress_view(quiet)
    try:
        if arguments.resume is not None and folder is not None:
            content = workflow.resume_sweep(folder, request, shown)
        else:
            content = workflow.sweep(jobs, request, shown)
    finally:
        with suppress(OSError):  # the terminal was closed
            shown.end()
    if as_json:
        print_json(content)
    else:
        view.show(content)
    if content["counts"].get("finished", 0) < len(content["jobs"]):
        raise typer.Exit(1)


def _folder(arguments: TrainArguments) -> Path | None:
    from dlexp.artifacts.runs.run_dir import outputs_root

    return arguments.run_dir if arguments.run_id is None else outputs_root() / "sweep" / arguments.run_id


def _typed(arguments: TrainArguments) -> tuple[str, ...]:
    """The arguments that define the jobs, as they are saved with the sweep."""
    given = (("--from", arguments.from_run), ("--seeds", arguments.seeds))
    return (*arguments.overrides, *(f"{name}={value}" for name, value in given if value is not None))


def _jobs(arguments: TrainArguments, catalog: Catalog) -> tuple[SweepJob, ...]:
    from dlexp.config.sweep import sweep_jobs

    def load(own: tuple[str, ...]) -> Any:
        return configuration(own, arguments.from_run, catalog)[0]

    jobs = sweep_jobs(arguments.overrides, catalog, load)
    if arguments.seeds is None:
        return jobs
    if any(key == "seed" for job in jobs for key, _ in job.varied):
        raise ConfigError.one(
            "--seeds",
            arguments.seeds,
            "cannot be combined with several values of seed",
            "Remove one of the two.",
            code="cannot-combine",
        )
    first = jobs[0].config.seed
    seeds = ",".join(str(first + offset) for offset in range(arguments.seeds))
    rest = tuple(word for word in arguments.overrides if not word.startswith("seed="))
    return sweep_jobs((*rest, f"seed={seeds}"), catalog, load)


def _shared_options(arguments: TrainArguments, common: CommonOptions) -> list[str]:
    """The options without which a line of a job is not the same; a folder of the environment needs none."""
    folders = [folder for folder in common.config_dirs if folder != folder_of_variable()]
    options = [word for folder in folders for word in ("--config-dir", str(folder))]
    options += [word for package in common.trust for word in ("--trust", package)]
    return options if arguments.from_run is None else [*options, "--from", arguments.from_run]


def _as_dict(number: int, job: SweepJob) -> dict[str, Any]:
    return {"number": number, "varied": dict(job.varied), "overrides": list(job.overrides)}
