"""What a sweep keeps beside its runs: cells.json, written once, and sweep.json, replaced when a cell changes.

outputs/sweep/<time>-<model>-<data>-<4hex>/
  cells.json           the configuration of every cell, so that a sweep goes on with what it began with
  sweep.json           words, cells with their states and runs, counts, metrics
  000-<model>-<data>/  a run like any other, one a cell
  logs/000.log         what the cell's process printed
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.writing import read_object, write_json
from dlexp.artifacts.runs.run_dir import RunDir, outputs_root
from dlexp.artifacts.runs.run_files import read_run_file, with_keys
from dlexp.artifacts.runs.run_tree import SWEEP_MARK
from dlexp.config.saved import load_plain, plain
from dlexp.config.sweep import Cell
from dlexp.errors import ConfigError, DlexpError
from dlexp.workflows.run_record.write import metrics_of

SWEEP = "sweep.json"
FINISHED, FAILED, INTERRUPTED, RUNNING, WAITING = "finished", "failed", "interrupted", "running", "waiting"


@dataclass
class CellState:
    """How far a cell is.

    state    waiting, running, finished, failed or interrupted
    value    the monitored metric: of the last epoch while it runs, of the best one at the end
    metrics  those of its best epoch, once it is finished
    """

    number: int
    cell: Cell
    folder: Path
    state: str = WAITING
    epoch: int = 0
    value: float | None = None
    reason: str = ""
    exit_code: int | None = None
    seconds: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """The epochs that it is to have."""
        return self.cell.config.trainer.epochs

    @property
    def is_begun(self) -> bool:
        """Whether there is a run of it."""
        return (self.folder / "config.yaml").is_file()

    def look(self) -> None:
        """Take over what the cell's run says of itself: a finished one stays, whatever sweep.json says."""
        if not self.is_begun:
            return
        status = RunDir(self.folder).status()
        self.epoch = status.epoch
        if status.state == FINISHED:
            self.finish()

    def finish(self) -> None:
        """Take over the result of a run that is finished."""
        summary = read_run_file(self.folder / "summary.json", needs=with_keys("epochs", "seconds", "best"))
        self.state, self.reason, self.exit_code = FINISHED, "", 0
        self.epoch, self.seconds = summary["epochs"], summary["seconds"]
        self.metrics = metrics_of(summary)
        self.value = self.metrics.get(self.cell.config.monitor)

    def as_dict(self, root: Path) -> dict[str, Any]:
        """The cell as plain values; its run as seen from the sweep's folder."""
        return {
            "number": self.number,
            "varied": dict(self.cell.varied),
            "words": list(self.cell.words),
            "run": str(self.folder.relative_to(root)),
            "state": self.state,
            "epoch": self.epoch,
            "epochs": self.epochs,
            "reason": self.reason,
            "exit_code": self.exit_code,
            "seconds": self.seconds,
            "metrics": self.metrics,
        }


def write_cells(folder: Path, words: Sequence[str], cells: Sequence[Cell]) -> None:
    """Keep the configurations of a sweep; environment variables by their names."""
    content = [{"words": list(c.words), "varied": list(c.varied), "config": plain(c.config)} for c in cells]
    write_json(folder / SWEEP_MARK, {"words": list(words), "cells": content})


def read_cells(folder: Path) -> tuple[tuple[str, ...], tuple[Cell, ...]]:
    """(words, cells) that a sweep began with, checked like new ones. Raises DlexpError, and ConfigError."""
    content = read_run_file(folder / SWEEP_MARK)
    try:
        cells = tuple(
            Cell(
                tuple(map(str, item["words"])),
                tuple((str(key), str(value)) for key, value in item["varied"]),
                load_plain(item["config"], {}),
            )
            for item in content["cells"]
        )
        return tuple(map(str, content["words"])), cells
    except (KeyError, TypeError, ValueError) as error:
        raise DlexpError(
            f"{folder / SWEEP_MARK} cannot be read: it does not hold the cells of a sweep", code="corrupted"
        ) from error


def states_of(folder: Path, cells: Sequence[Cell]) -> list[CellState]:
    """Every cell with its run's directory, and how far that is."""
    found = []
    for number, cell in enumerate(cells):
        config = cell.config
        name = re.sub(r"[^\w.-]+", "-", config.name or f"{config.model.option}-{config.data.option}")
        state = CellState(number, cell, folder / f"{number:03d}-{name}")
        state.look()
        found.append(state)
    return found


def content_of(folder: Path, words: Sequence[str], states: Sequence[CellState]) -> dict[str, Any]:
    """The content of sweep.json.

    metric  what decides in every cell, None where cells differ in it
    best    number of the best finished cell by that metric, None where there is none
    """
    monitors = {(state.cell.config.monitor, state.cell.config.maximize) for state in states}
    metric, maximize = next(iter(monitors)) if len(monitors) == 1 else (None, True)
    ranked = [s for s in states if metric and s.state == FINISHED and s.value is not None and s.value == s.value]
    pick = max if maximize else min
    best = pick(ranked, key=lambda s: (s.value or 0.0, -s.number if maximize else s.number)) if ranked else None
    return {
        "sweep": str(folder),
        "words": list(words),
        "metric": metric,
        "maximize": maximize,
        "counts": dict(Counter(state.state for state in states)),
        "best": best.number if best else None,
        "cells": [state.as_dict(folder) for state in states],
    }


def unfinished_twin(words: Sequence[str], cells: Sequence[Cell]) -> Path | None:
    """The newest sweep under outputs/sweep of the same line and the same cells, unless all of those are finished.

    Raises ConfigError where the sweep of this line has lost its cells.json; one of another line is passed over.
    """
    marks = [path for name in (SWEEP_MARK, SWEEP) for path in outputs_root().glob(f"sweep/*/{name}")]
    ages = {path.parent: path.stat().st_mtime_ns for path in reversed(marks)}  # of cells.json where there is one
    for folder in sorted(ages, key=lambda folder: ages[folder], reverse=True):
        try:
            named = read_run_file(folder / SWEEP_MARK)["words"]
            is_twin = named == list(words) and holds(folder, cells)
        except DlexpError as error:
            _refuse_lost_cells(folder, words, error)
            continue
        if is_twin:
            is_over = all(state.state == FINISHED for state in states_of(folder, cells))
            return None if is_over else folder
    return None


def _refuse_lost_cells(folder: Path, words: Sequence[str], error: DlexpError) -> None:
    """Raise ConfigError where sweep.json says that the sweep is of this line and not finished."""
    try:
        content = read_object(folder / SWEEP)
    except DlexpError:
        return
    counts = content.get("counts")
    if content.get("words") != list(words) or (isinstance(counts, dict) and set(counts) <= {FINISHED}):
        return
    rule = f"cannot be used, and {folder} is the unfinished sweep of this line ({str(error).splitlines()[0]})"
    remedy = f"Restore the file from a copy, or move {folder} out of {folder.parent} to begin the sweep anew."
    raise ConfigError.one(str(folder / SWEEP_MARK), "", rule, remedy, code="corrupted")


def holds(folder: Path, cells: Sequence[Cell]) -> bool:
    """Whether the sweep in `folder` is of these cells; their shares of the cores may differ."""
    return [_without_threads(cell) for cell in read_cells(folder)[1]] == [_without_threads(cell) for cell in cells]


def _without_threads(cell: Cell) -> tuple[dict[str, str], dict[str, Any]]:
    tree = dict(cell.config.tree)
    return dict(cell.config.choices), tree | {"trainer": {**tree["trainer"], "threads": None}}
