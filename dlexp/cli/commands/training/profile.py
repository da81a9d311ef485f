"""The command `dlexp profile`: measures an update and estimates the cost of the run."""

from __future__ import annotations

from dlexp.cli import options as given
from dlexp.cli.argv import common_options
from dlexp.cli.style import print_json


def profile(
    overrides: given.Overrides = None,
    steps: given.ProfileSteps = None,
    run_dir: given.RunDirectory = None,
    config_file: given.ConfigFiles = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    quiet: given.Quiet = False,
    json: given.Json = False,
) -> None:
    """Profile the time and memory of a training update. The cost of the whole run is estimated."""
    from dataclasses import replace

    from dlexp.cli.commands.configuration import catalog_of, trusted_of, words_of
    from dlexp.config.compose import load
    from dlexp.workflows.profile.settings import ProfileRequest

    common = common_options(config_dir, trust)
    catalog = catalog_of(common)
    request = ProfileRequest(words_of(overrides, config_file, catalog), run_dir=run_dir, steps=steps)
    request.check()
    config = load(request.overrides, catalog)
    request = replace(request, command=common.command, trusted=trusted_of(common))
    from dlexp.cli.views.training.display import reporter
    from dlexp.cli.views.training.profile import show
    from dlexp.workflows.profile import profile as workflow
    from dlexp.workflows.profile.result import title_of

    content = workflow.profile(config, request, reporter(quiet or json))
    if json:
        print_json(content)
    else:
        show(title_of(content), content)
