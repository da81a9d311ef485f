"""The command `dlexp gradcheck`: the gradients of a model and its loss, compared with numerical ones."""

from __future__ import annotations

from typing import Annotated

import typer

from dlexp.cli import options as given
from dlexp.cli.argv import common_options
from dlexp.cli.style import print_json
from dlexp.errors import ConfigError, Problem

_WRONG = 1  # exit code
_MODES = ("train", "eval")

Samples = Annotated[int, typer.Option("--samples", help="number of training samples that the loss is computed of")]
Entries = Annotated[
    int, typer.Option("--entries", help="elements of each parameter that are compared, besides random directions")
]
Tolerance = Annotated[float, typer.Option("--tolerance", help="largest relative error of a correct gradient")]
Mode = Annotated[
    str, typer.Option("--mode", help="train: dropout with one mask, fixed batch statistics; eval: as when predicting")
]


def gradcheck(
    overrides: given.Overrides = None,
    samples: Samples = 8,
    entries: Entries = 8,
    tolerance: Tolerance = 1e-4,
    mode: Mode = "train",
    config_file: given.ConfigFiles = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    quiet: given.Quiet = False,
    json: given.Json = False,
) -> None:
    """Compare the gradients of a model and its loss with numerical ones. In float64; exit code 1 if one is wrong."""
    from dlexp.cli.commands.configuration import catalog_of, configuration, trusted_of, words_of

    _refuse(samples, entries, tolerance, mode)
    common = common_options(config_dir, trust)
    catalog = catalog_of(common)
    config, _, _ = configuration(words_of(overrides, config_file, catalog), None, catalog)
    from dlexp.cli.views.inspection.gradcheck import progress, show
    from dlexp.networks.inspection.gradient_check import CheckSettings
    from dlexp.workflows.gradcheck import GradcheckRequest
    from dlexp.workflows.gradcheck import gradcheck as workflow

    request = GradcheckRequest(samples, mode, CheckSettings(entries=entries, tolerance=tolerance))
    with progress(quiet or json) as on_tensor:
        content = workflow(config, request, trusted_of(common), on_tensor)
    if json:
        print_json(content)
    else:
        show(content)
    if not content["ok"]:
        raise typer.Exit(_WRONG)


def _refuse(samples: int, entries: int, tolerance: float, mode: str) -> None:
    """Raise ConfigError with all problems of the options."""
    problems = [
        Problem(name, str(value), "must be 1 or more", f"Use {name} 8", code="out-of-range")
        for name, value in (("--samples", samples), ("--entries", entries))
        if value < 1
    ]
    if not 0 < tolerance < 1:
        rule = "must be between 0 and 1"
        problems.append(Problem("--tolerance", str(tolerance), rule, "Use --tolerance 1e-4", code="out-of-range"))
    if mode not in _MODES:
        rule, remedy = f"must be one of {', '.join(_MODES)}", "Use --mode eval"
        problems.append(Problem("--mode", mode, rule, remedy, code="unknown-value"))
    if problems:
        raise ConfigError(problems)
