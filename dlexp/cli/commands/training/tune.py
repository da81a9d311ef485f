"""The command `dlexp tune`: runs a study, tries its search space, or serves its dashboard."""

from __future__ import annotations

import shlex
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dlexp.cli import options as given
from dlexp.cli.argv import common_options
from dlexp.cli.style import print_json
from dlexp.errors import ConfigError

if TYPE_CHECKING:
    from dlexp.config.search import Search
    from dlexp.workflows.tune.tune import TuneRequest


def tune(
    overrides: given.Overrides = None,
    trials: given.Trials = 50,
    name: given.StudyName = None,
    jobs: given.Jobs = 1,
    stacked: given.StackedTrials = 1,
    storage: given.Storage = None,
    migrate: given.Migrate = None,
    config_file: given.ConfigFiles = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    dry_run: given.DryRunOfStudy = False,
    dashboard: given.Dashboard = False,
    quiet: given.Quiet = False,
    json: given.Json = False,
) -> None:
    """Search for hyperparameters. The same command continues its study until it has --trials trials."""
    from dlexp.artifacts.files.new_folder import refuse_bad_name
    from dlexp.artifacts.runs.run_dir import outputs_root
    from dlexp.cli.commands.configuration import catalog_of, trusted_of, words_of
    from dlexp.config.search import load_search
    from dlexp.text.time_format import stamp

    if name is not None:
        refuse_bad_name("--name", name)
    if dashboard:
        _dashboard(name, storage)
        return
    if migrate is not None and name in (None, Path(migrate).name):
        raise ConfigError.one(
            "--migrate", migrate, "requires another study to copy to", "Add --name NEW", code="missing-requirement"
        )
    common = common_options(config_dir, trust)
    catalog = catalog_of(common)
    typed = words_of(overrides, config_file, catalog)
    search = load_search(typed, catalog)
    if dry_run:
        _dry_run(search, trials, json)
        return
    from dlexp.workflows.tune.tune import TuneRequest

    base = search.base
    folder = outputs_root() / "tune" / (name or f"{stamp()}-{base.model.option}-{base.data_name}")
    trusted, command = trusted_of(common), without_secrets(common.command)
    _run(
        search,
        TuneRequest(folder, trials, jobs, storage, typed, trusted, command, migrate, stacked),
        quiet or json,
        json,
    )


def _run(search: Search, request: TuneRequest, quiet: bool, as_json: bool) -> None:
    from dlexp.cli.views.training.tune import progress_view, show
    from dlexp.workflows.tune.tune import tune as workflow

    shown = progress_view(quiet, request.total, search.base.monitor)
    started = time.perf_counter()
    try:
        content = workflow(search, request, shown)
    finally:
        with suppress(OSError):  # the terminal was closed
            shown.end()
    if as_json:
        print_json(content)
    else:
        show(content, request.folder, time.perf_counter() - started)


def without_secrets(command: str) -> str:
    """A command line without passwords and query strings in URLs, so that it can be written to a file."""
    from dlexp.tune.storage.backends import without_password

    arguments = []
    for word in shlex.split(command):
        address, mark, _ = without_password(word).partition("?") if "://" in word else (word, "", "")
        arguments.append(f"{address}?***" if mark else address)
    return shlex.join(arguments)


def _dashboard(name: str | None, storage: str | None) -> None:
    """Serve the study to a browser until Ctrl-C."""
    from functools import partial

    from dlexp.artifacts.runs.run_dir import outputs_root
    from dlexp.cli.views.training.tune import dashboard
    from dlexp.runtime.signals import StopRequest
    from dlexp.tune.dashboard import serve

    folder = outputs_root() / "tune" / name if name is not None else None
    serve(folder, storage, partial(dashboard, name), StopRequest())


def _dry_run(search: Search, total: int, as_json: bool) -> None:
    """Sample three configurations of every branch of the search space, and compute the maximum cost."""
    from dlexp.config.search import rules_of
    from dlexp.tune.samplers import sampler_for
    from dlexp.tune.space_preview import cost, samples

    rules, settings = rules_of(search), search.settings
    sampler_for(rules, 0, search.space)  # raises an error if a package is missing
    drawn, bound = samples(search.space, settings.seed, 3), cost(search.space, rules, total)
    confirmed = (settings.confirm_top + 1) * settings.confirm_seeds if settings.confirm_top else 0
    content = {
        "space": search.space.described(),
        "samples": drawn,
        "trials": bound.trials,
        "confirmations": confirmed,
        "epochs_at_most": (bound.trials + confirmed) * bound.epochs,
    }
    if as_json:
        print_json(content)
        return
    from dlexp.cli.views.training.tune import dry_run

    dry_run(content, search.space.groups, bound.epochs, settings.hours)
