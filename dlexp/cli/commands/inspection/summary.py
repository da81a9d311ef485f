"""The command `dlexp summary`: builds a model and describes its layers."""

from __future__ import annotations

from dlexp.cli import options as given
from dlexp.cli.argv import common_options
from dlexp.cli.style import print_json


def summary(
    overrides: given.Overrides = None,
    depth: given.Depth = None,
    config_file: given.ConfigFiles = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Print the layers of a model. With output shapes, parameters, multiply-adds and memory; nothing is trained."""
    from dlexp.cli.commands.configuration import catalog_of, configuration, trusted_of, words_of

    common = common_options(config_dir, trust)
    catalog = catalog_of(common)
    config, _, _ = configuration(words_of(overrides, config_file, catalog), None, catalog)
    from dlexp.cli.views.inspection.summary import show
    from dlexp.workflows.summary import summary as workflow

    content = workflow(config, trusted_of(common))
    if json:
        print_json(content)
    else:
        show(content, depth)
