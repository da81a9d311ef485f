"""The workflow `dlexp inspect`: figures of what a trained network holds and computes.

Symbols: N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dlexp.artifacts.files.claims import claimed
from dlexp.artifacts.files.writing import write_bytes, write_json
from dlexp.artifacts.runs.split_accesses import log_split_access
from dlexp.models.layers import ACTIVATIONS, activation
from dlexp.workflows.inspect.activations import inspect_activations
from dlexp.workflows.inspect.data import inspect_data
from dlexp.workflows.inspect.embeddings import inspect_embeddings
from dlexp.workflows.inspect.features import inspect_features, inspect_filters
from dlexp.workflows.inspect.loaded_run import LoadedRun, load_run
from dlexp.workflows.inspect.request import InspectRequest
from dlexp.workflows.inspect.weights import inspect_weights
from dlexp.workflows.pictures import draw_picture

FOLDER = "inspect"
_RANGE, _POINTS = 5.0, 1001

Drawn = tuple[dict[str, Callable[[], bytes]], dict[str, Any]]


def inspect_run(
    folder: Path,
    request: InspectRequest,
    changes: Mapping[str, Any],
    trusted: Sequence[str],
    *,
    allow_changes: bool = False,
) -> dict[str, Any]:
    """Draw figures to RUN/inspect/; returns their names and numbers, which inspect.json has too.

    Raises:
        ConfigError: Invalid options, no such run, or no such layer.
        DataError: The data of the run cannot be read or has changed.
        DlexpError: A figure cannot be drawn or written.
    """
    request.check()
    with claimed(folder):
        loaded = load_run(
            folder,
            request.checkpoint,
            changes,
            trusted,
            allow_changes=allow_changes,
            needs_initial=request.weights,
        )
        if request.split == "test":
            log_split_access(loaded.run / "eval", "test", request.checkpoint)
        files: list[str] = []
        content: dict[str, Any] = {
            "run": str(loaded.run.path),
            "checkpoint": request.checkpoint,
            "split": request.split,
            "notes": list(loaded.notes),
        }
        for name, (figures, facts) in _drawn(loaded, request):
            content[name] = facts
            for stem, picture in figures.items():
                path = loaded.run / FOLDER / f"{stem}.png"
                write_bytes(path, draw_picture(path.name, picture))
                files.append(str(path))
        content["files"] = files
        write_json(loaded.run / FOLDER / "inspect.json", content)
    return content


def _drawn(loaded: LoadedRun, request: InspectRequest) -> list[tuple[str, Drawn]]:
    """The figures and numbers of everything that is requested; all are computed before one is written."""
    made: list[tuple[str, Drawn]] = []
    if request.features:
        made.append(("features", inspect_features(loaded, request)))
    if request.filters:
        made.append(("filters", inspect_filters(loaded)))
    if request.weights:
        made.append(("weights", inspect_weights(loaded, request)))
    if request.activations:
        made.append(("activations", inspect_activations(loaded, request)))
    if request.embeddings:
        made.append(("embeddings", inspect_embeddings(loaded, request)))
    if request.data:
        made.append(("data", inspect_data(loaded, request)))
    return made


def draw_activation_functions(path: Path) -> dict[str, Any]:
    """Draw every option of model.activation with its derivative to a PNG file."""
    x = torch.linspace(-_RANGE, _RANGE, _POINTS, dtype=torch.float64).unsqueeze(1).requires_grad_()
    curves = {}
    for name in ACTIVATIONS:
        module = activation(name).double()
        # softmax is over features: the other one is 0
        given = torch.cat([x, torch.zeros_like(x)], dim=1) if "softmax" in name else x
        values = module(given)[:, :1]
        (slopes,) = torch.autograd.grad(values.sum(), x)
        curves[f"{name} of (x, 0)" if "softmax" in name else name] = (
            values.detach().flatten().numpy(),
            slopes.flatten().numpy(),
        )
    points = np.linspace(-_RANGE, _RANGE, _POINTS)

    def picture() -> bytes:
        from dlexp.report.figures.inspection.functions import functions_png

        return functions_png(points, curves)

    write_bytes(path.absolute(), draw_picture(path.name, picture))
    return {"files": [str(path)], "functions": list(ACTIVATIONS), "notes": []}
