"""The command `dlexp train`: starts, repeats or resumes a run, or runs a sweep."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlexp.cli import options as given
from dlexp.cli.argv import CommonOptions, common_options
from dlexp.cli.style import print_json
from dlexp.errors import ConfigError

if TYPE_CHECKING:
    from dlexp.cli.commands.configuration import TrainArguments
    from dlexp.config.files.catalog import Catalog
    from dlexp.config.schema.run import RunConfig
    from dlexp.workflows.reporter import Reporter
    from dlexp.workflows.train.train import Request


def train(
    overrides: given.Overrides = None,
    resume: given.Resume = None,
    from_run: given.FromRun = None,
    seeds: given.Seeds = None,
    stacked: given.Stacked = False,
    multirun: given.Multirun = False,
    jobs: given.SweepJobs = 1,
    run_dir: given.RunDirectory = None,
    run_id: given.RunId = None,
    allow_changes: given.AllowChanges = False,
    config_file: given.ConfigFiles = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    dry_run: given.DryRun = False,
    quiet: given.Quiet = False,
    json: given.Json = False,
) -> None:
    """Train a model and save it in a run directory."""
    from dlexp.cli.commands.configuration import TrainArguments

    request = TrainArguments(
        tuple(overrides or ()), resume, from_run, seeds, run_dir, dry_run, allow_changes, run_id, multirun, jobs
    )
    request = replace(request, config_files=tuple(config_file or ()), is_stacked=stacked)
    _train(request, common_options(config_dir, trust), quiet or json, json)


def _train(arguments: TrainArguments, common: CommonOptions, quiet: bool, as_json: bool) -> None:
    """Start, repeat, resume or dry-run a training and print the result."""
    from dlexp.cli.commands.configuration import catalog_of, configuration, is_sweep_command, trusted_of, words_of

    catalog = catalog_of(common)
    base = "--resume" if arguments.resume is not None else "--from" if arguments.from_run is not None else ""
    arguments = replace(arguments, overrides=words_of(arguments.overrides, arguments.config_files, catalog, base))
    arguments = _with_experiment(arguments, catalog)
    _refuse_contradictions(arguments)
    if is_sweep_command(arguments):
        from dlexp.cli.commands.training.sweep import sweep

        sweep(arguments, common, catalog, quiet, as_json)
        return
    if arguments.resume is not None:
        _resume(arguments, common, catalog, quiet, as_json)
        return
    config, typed, changes = configuration(arguments.overrides, arguments.from_run, catalog)
    trusted = trusted_of(common)
    from dlexp.cli.views.training import train as view
    from dlexp.cli.views.training.display import reporter
    from dlexp.workflows.train import train as workflow
    from dlexp.workflows.train.seeds import train_seeds

    if arguments.dry_run:
        if arguments.run_id is not None:
            from dlexp.workflows.train.run_id import check_id

            check_id(config, arguments.run_id, arguments.seeds, reporter(quiet).say)
        elif arguments.run_dir is not None and arguments.seeds is None:
            from dlexp.artifacts.files.new_folder import refuse_occupied

            refuse_occupied(arguments.run_dir)
        _print(workflow.dry_run(config, trusted), view.dry_run, as_json)
        return
    request = workflow.Request(
        typed, (common.command,), arguments.run_dir, trusted, tuple(changes or ()), arguments.allow_changes
    )
    display = reporter(quiet)
    if arguments.run_id is not None:
        _under_id(arguments, config, request, display, as_json)
    elif arguments.seeds is not None:
        table = train_seeds(config, request, arguments.seeds, display, is_stacked=arguments.is_stacked)
        _print(table, view.seeds, as_json)
    else:
        _print(workflow.train(config, request, display), view.summary, as_json)


def _with_experiment(arguments: TrainArguments, catalog: Catalog) -> TrainArguments:
    """The arguments with the sweep of their experiment, which needs no -m; the same ones without one."""
    chooses = any(word.startswith(("experiment=", "cases=")) for word in arguments.overrides)
    if arguments.resume is not None or not chooses:
        return arguments
    from dlexp.config.given.experiment_sweep import refuse_among_others, with_sweep_of_experiment

    refuse_among_others(arguments.overrides, catalog)
    of_line = ("seed",) if arguments.seeds is not None else ()
    line = with_sweep_of_experiment(arguments.overrides, catalog, of_line)
    return replace(arguments, overrides=line.words, multirun=arguments.multirun or bool(line.axes))


def _under_id(arguments: TrainArguments, config: RunConfig, request: Request, display: Reporter, as_json: bool) -> None:
    from dlexp.cli.views.training import train as view
    from dlexp.workflows.train.run_id import train_seeds_under_id, train_under_id

    name, seeds = arguments.run_id or "", arguments.seeds
    if seeds is not None:
        table = train_seeds_under_id(config, request, name, seeds, display, is_stacked=arguments.is_stacked)
        _print(table, view.seeds, as_json)
    else:
        _print(train_under_id(config, request, name, display), view.summary, as_json)


def _resume(arguments: TrainArguments, common: CommonOptions, catalog: Catalog, quiet: bool, as_json: bool) -> None:
    from dlexp.artifacts.files.format_number import refuse_other_run_format
    from dlexp.artifacts.runs.run_dir import RunDir, named_run, newest_unfinished
    from dlexp.cli.commands.configuration import trusted_of
    from dlexp.config.derive import resumed_config

    run = RunDir.find(named_run(arguments.resume)) if arguments.resume else newest_unfinished()
    refuse_other_run_format(run.path)
    config, changes = resumed_config(run.path, arguments.overrides, catalog)
    trusted = trusted_of(common)
    from dlexp.cli.views.training import train as view
    from dlexp.cli.views.training.display import reporter
    from dlexp.workflows.train.train import resume

    display = reporter(quiet)
    content = resume(run, config, trusted, display, allow_changes=arguments.allow_changes, changes=changes)
    _print(content, view.summary, as_json)


def _print(content: Mapping[str, Any], view: Callable[[Mapping[str, Any]], None], as_json: bool) -> None:
    try:
        if as_json:
            print_json(content)
        else:
            view(content)
        sys.stdout.flush()
    except OSError as error:  # the run is complete; its status must have the exit code of this process
        if "run" in content:
            from dlexp.artifacts.runs.run_dir import RunDir
            from dlexp.cli.process import exit_code_of_output

            reason = f"the result could not be printed: {error.strerror or error}"
            RunDir(Path(content["run"])).set_exit(exit_code_of_output(error), reason)
        raise


def _refuse_contradictions(arguments: TrainArguments) -> None:
    """Raise ConfigError for options that cannot be combined."""
    is_several = arguments.seeds is not None or arguments.multirun
    if arguments.is_stacked and not is_several and arguments.resume is None:
        rule, remedy = "trains several runs together, and this is one run", "Add --seeds 10, or -m with several values."
        raise ConfigError.one("--stacked", "", rule, remedy, code="no-effect")
    if arguments.run_id is not None:
        from dlexp.artifacts.files.new_folder import refuse_bad_name

        refuse_bad_name("--run-id", arguments.run_id)
        for name, is_given in (
            ("--resume", arguments.resume is not None),
            ("--run-dir", arguments.run_dir is not None),
        ):
            if is_given:
                rule = f"cannot be combined with {name}: --run-id names a directory and resumes the run in it"
                raise ConfigError.one(
                    "--run-id", arguments.run_id, rule, "Remove one of the two options.", code="cannot-combine"
                )
    if arguments.resume is None:
        if arguments.allow_changes and arguments.seeds is None and arguments.run_id is None and not arguments.multirun:
            rule = "only applies when resuming a run"
            raise ConfigError.one("--allow-changes", "", rule, "Name it with --resume.", code="no-effect")
        return
    given = {
        "--from": arguments.from_run is not None,
        "--seeds": arguments.seeds is not None,
        "--multirun": arguments.multirun,
        "--run-dir": arguments.run_dir is not None,
        "--dry-run": arguments.dry_run,
        "init_from": any(word.startswith("init_from=") for word in arguments.overrides),
    }
    for name in (name for name, is_given in given.items() if is_given):
        rule = f"cannot be combined with {name}: --resume continues a run in its own directory"
        raise ConfigError.one(
            "--resume", arguments.resume, rule, "Remove one of the two options.", code="cannot-combine"
        )
