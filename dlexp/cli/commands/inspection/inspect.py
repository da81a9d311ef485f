"""The command `dlexp inspect`: figures of what a trained network holds and computes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlexp.cli import options as given
from dlexp.cli.style import print_json
from dlexp.errors import ConfigError

Features = Annotated[
    list[str] | None,
    typer.Option("--features", metavar="LAYER", help="draw the output of LAYER for one sample; repeatable"),
]
Filters = Annotated[bool, typer.Option("--filters", help="draw the filters of the first layer")]
Weights = Annotated[
    bool, typer.Option("--weights", help="draw weights and gradients of each layer: initial, best and last")
]
Activations = Annotated[bool, typer.Option("--activations", help="draw the outputs of each layer, count dead units")]
Embeddings = Annotated[bool, typer.Option("--embeddings", help="draw the features before the last layer: PCA, t-SNE")]
Data = Annotated[bool, typer.Option("--data", help="draw classes, targets and inputs of each split")]
Functions = Annotated[
    bool, typer.Option("--activation-functions", help="draw all options of model.activation; takes no run")
]
Sample = Annotated[int, typer.Option("--sample", help="sample of --features: its position in the split, from 0")]
Samples = Annotated[int, typer.Option("--samples", help="at most this many samples, evenly spaced")]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="PNG file of --activation-functions")]


def inspect(
    run: given.Run = "latest",
    overrides: given.EvaluationOverrides = None,
    features: Features = None,
    filters: Filters = False,
    weights: Weights = False,
    activations: Activations = False,
    embeddings: Embeddings = False,
    data: Data = False,
    activation_functions: Functions = False,
    split: given.Split = "val",
    sample: Sample = 0,
    samples: Samples = 1000,
    checkpoint: given.Checkpoint = "best",
    out: Out = Path("activation_functions.png"),
    allow_changes: given.EvaluateChanged = False,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Draw what a trained network holds and computes. Feature maps, filters, weights, outputs, embeddings, data."""
    from dlexp.workflows.finished_run import evaluation_changes
    from dlexp.workflows.inspect.request import InspectRequest

    figures = (tuple(features or ()), filters, weights, activations, embeddings, data)
    if activation_functions:
        _refuse(run, figures, out)
        from dlexp.workflows.inspect.inspect import draw_activation_functions

        content = draw_activation_functions(out)
    else:
        typed = tuple(overrides or ())
        if "=" in run:
            run, typed = "latest", (run, *typed)
        request = InspectRequest(*figures, split=split, sample=sample, samples=samples, checkpoint=checkpoint)
        request.check()
        changes = evaluation_changes(typed)
        from dlexp.artifacts.runs.run_dir import RunDir, named_run
        from dlexp.config.nodes import trusted_packages

        folder = RunDir.find(named_run(run)).path  # raises an error before torch is imported
        trusted = trusted_packages(tuple(trust or ()))
        from dlexp.workflows.inspect.inspect import inspect_run

        content = inspect_run(folder, request, changes, trusted, allow_changes=allow_changes)
    if json:
        print_json(content)
    else:
        from dlexp.cli.views.inspection.inspect import show

        show(content)


def _refuse(run: str, figures: tuple[object, ...], out: Path) -> None:
    """Raise ConfigError for what --activation-functions cannot be combined with."""
    if run != "latest" or any(figures):
        rule = "takes no run and no other figure"
        remedy = "Type dlexp inspect --activation-functions"
        raise ConfigError.one("--activation-functions", "", rule, remedy, code="cannot-combine")
    if out.suffix != ".png":
        remedy = "Use --out activation_functions.png"
        raise ConfigError.one("--out", out, "must end with .png", remedy, code="invalid-value")
