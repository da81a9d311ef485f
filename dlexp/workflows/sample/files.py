"""The files of `dlexp sample`: a picture, the samples as an array or a table, and what they are.

Symbols: N samples, R rows, K steps.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dlexp.artifacts.files.writing import write_bytes, write_csv, write_json
from dlexp.workflows.pictures import Pictures
from dlexp.workflows.sample.own_units import Array, OwnUnits
from dlexp.workflows.sample.pictures import BESIDE, most_shown, picture_problem, sample_picture
from dlexp.workflows.sample.plan import SamplePlan

SCHEMA = 1  # of the JSON file


def write_samples(
    folder: Path, name: str, units: OwnUnits, values: Array, plan: SamplePlan, content: Mapping[str, Any]
) -> dict[str, Any]:
    """Write NAME.png, NAME.npy or NAME.csv, and NAME.json; returns the content of the last."""
    files: dict[str, str] = {}
    pictures = Pictures()
    draw = sample_picture(units, values, plan, "")
    if draw is not None and pictures.write(folder / f"{name}.png", draw):
        files["picture"] = f"{name}.png"
    if units.is_table:
        header, rows = _table(units, values, plan)
        write_csv(folder / f"{name}.csv", header, rows)
        files["samples"] = f"{name}.csv"
    else:
        buffer = io.BytesIO()
        np.save(buffer, shaped(values, plan))
        write_bytes(folder / f"{name}.npy", buffer.getvalue())
        files["samples"] = f"{name}.npy"
    shown, problem = min(len(values), most_shown(plan)), picture_problem(units)
    found = {
        "schema": SCHEMA,
        **content,
        **plan.facts,
        **_array_facts(units, shaped(values, plan)),
        **({"shown": shown} if draw is not None and shown < len(values) and not units.is_table else {}),
        **({"no_picture": problem} if problem else {}),
        "folder": str(folder),
        "files": files,
        **pictures.facts(),
    }
    write_json(folder / f"{name}.json", found)
    return found


def shaped(values: Array, plan: SamplePlan) -> Array:
    """(N, *shape) samples, (N, 2, *shape) originals with their reconstructions, or (R, K, *shape) paths."""
    if plan.originals is not None:
        return np.stack([plan.originals, values], axis=1)
    return values.reshape(*plan.shape, *values.shape[1:])


def sample_columns(units: OwnUnits, values: Array, plan: SamplePlan) -> dict[str, list[Any]]:
    """The rows of a table as columns; before them the class, or the path and its step, or what a row is."""
    before: dict[str, list[Any]] = {}
    cells = {name: list(column) for name, column in units.columns(values).items()}
    if plan.originals is not None:
        own = units.columns(plan.originals)
        cells = {
            name: [v for pair in zip(own[name], column, strict=True) for v in pair] for name, column in cells.items()
        }
        rows = plan.facts["rows"]
        before = {"row": [row for row in rows for _ in BESIDE], "what": [*BESIDE] * len(rows)}
    elif len(plan.shape) > 1:
        rows, steps = plan.shape
        before = {
            "path": [row for row in range(rows) for _ in range(steps)],
            "step": [step for _ in range(rows) for step in range(steps)],
        }
    elif classes := plan.facts.get("classes"):
        before = {"class": list(classes)}
    return {name if name not in cells else f"{name} of sample": column for name, column in before.items()} | cells


def _table(units: OwnUnits, values: Array, plan: SamplePlan) -> tuple[list[str], Iterator[list[Any]]]:
    found = sample_columns(units, values, plan)
    rows = zip(*found.values(), strict=True)
    return list(found), ([f"{cell:.7g}" if isinstance(cell, float) else cell for cell in row] for row in rows)


def _array_facts(units: OwnUnits, values: Array) -> dict[str, Any]:
    white = units.white
    what = "columns in their own units" if units.is_table else "numbers of the data"
    if white is not None:
        what = f"pixels from 0 to {white:g}"
    return {"shape": list(values.shape), "dtype": str(values.dtype), "units": what}
