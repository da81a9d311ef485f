"""From the words of a command to a workflow and back to something to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlexp.cli.argv import Setting
from dlexp.cli.commands.configuration import TrainWords, configuration, means_sweep, trusted_of
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError

if TYPE_CHECKING:
    from dlexp.config.schema.run import RunConfig
    from dlexp.workflows.reporter import Reporter
    from dlexp.workflows.train.train import Request


def train(words: TrainWords, setting: Setting, quiet: bool, as_json: bool) -> None:
    """Start, repeat, continue or only try a run, and show what came out."""
    _refuse_contradictions(words)
    catalog = Catalog(setting.config_dirs)
    if means_sweep(words):
        from dlexp.cli.commands.training.sweep import sweep

        sweep(words, setting, catalog, quiet, as_json)
        return
    if words.resume is not None:
        _resume(words, setting, catalog, quiet, as_json)
        return
    config, typed, changes = configuration(words.overrides, words.from_run, catalog)
    trusted = trusted_of(setting)
    from dlexp.cli.views import results
    from dlexp.cli.views.training import reporter
    from dlexp.workflows.train import train as workflow
    from dlexp.workflows.train.seeds import train_seeds

    if words.dry_run:
        results.dry_run(workflow.dry_run(config, trusted), as_json)
        return
    request = workflow.Request(typed, (setting.command,), words.run_dir, trusted, allow_changes=words.allow_changes)
    display = reporter(quiet)
    if changes is not None:
        results.changes(changes, display.say)
    if words.run_id is not None:
        _under_id(words.run_id, words.seeds, config, request, display, as_json)
    elif words.seeds is not None:
        results.seeds(train_seeds(config, request, words.seeds, display), as_json)
    else:
        results.summary(workflow.train(config, request, display), as_json)


def _under_id(
    name: str, seeds: int | None, config: RunConfig, request: Request, display: Reporter, as_json: bool
) -> None:
    from dlexp.cli.views import results
    from dlexp.workflows.train.run_id import train_seeds_under_id, train_under_id

    if seeds is not None:
        results.seeds(train_seeds_under_id(config, request, name, seeds, display), as_json)
    else:
        results.summary(train_under_id(config, request, name, display), as_json)


def _resume(words: TrainWords, setting: Setting, catalog: Catalog, quiet: bool, as_json: bool) -> None:
    from dlexp.artifacts.runs.run_dir import RunDir, named_run, newest_unfinished
    from dlexp.config.derive import continued

    run = RunDir.find(named_run(words.resume)) if words.resume else newest_unfinished()
    config, changes = continued(run.path, words.overrides, catalog)
    trusted = trusted_of(setting)
    from dlexp.cli.views import results
    from dlexp.cli.views.training import reporter
    from dlexp.workflows.train.train import resume

    display = reporter(quiet)
    results.changes(changes, display.say)
    results.summary(resume(run, config, trusted, display, allow_changes=words.allow_changes), as_json)


def _refuse_contradictions(words: TrainWords) -> None:
    """Options that cannot stand on one line."""
    if words.run_id is not None:
        from dlexp.artifacts.files.new_folder import refuse_bad_name

        refuse_bad_name("--run-id", words.run_id)
        for name, is_given in (("--resume", words.resume is not None), ("--run-dir", words.run_dir is not None)):
            if is_given:
                rule = f"cannot stand beside {name}: an ID is a directory, and continues the run in it by itself"
                raise ConfigError.one("--run-id", words.run_id, rule, "drop one of the two", code="cannot-combine")
    if words.resume is None:
        if words.allow_changes and words.seeds is None and words.run_id is None and not words.multirun:
            rule = "is for runs that go on, and nothing goes on here"
            raise ConfigError.one(
                "--allow-changes", "", rule, "name the run with --resume, or drop the word", code="no-effect"
            )
        return
    given = {
        "--from": words.from_run is not None,
        "--seeds": words.seeds is not None,
        "--multirun": words.multirun,
        "--run-dir": words.run_dir is not None,
        "--dry-run": words.dry_run,
        "init_from": any(word.startswith("init_from=") for word in words.overrides),
    }
    for name in (name for name, is_given in given.items() if is_given):
        rule = f"cannot stand beside {name}: --resume continues a run with its own weights, in its own directory"
        raise ConfigError.one("--resume", words.resume, rule, "drop one of the two", code="cannot-combine")
