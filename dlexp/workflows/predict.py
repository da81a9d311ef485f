"""`dlexp predict`: what a run says of samples that it has never seen and whose targets nobody knows.

Symbols: B samples of a batch, O targets.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from dlexp.artifacts.rows_out import Columns, RowWriter
from dlexp.data.asked import ARRAYS, TABLES, Items, files_of, in_batches
from dlexp.data.asked_arrays import ArrayInput
from dlexp.data.asked_images import ImageInput
from dlexp.data.asked_rows import STDIN
from dlexp.data.asked_tables import TableInput
from dlexp.engine.evaluate import predictions
from dlexp.errors import ConfigError, DataError
from dlexp.metrics.answers import Answers
from dlexp.types import Batch
from dlexp.workflows.since import told
from dlexp.workflows.stored import Stored, Use, restored

_NAMED = 10  # bad items that the summary names


@dataclass(frozen=True)
class Asked:
    """What is asked, and how it is answered.

    words          files, folders, patterns; `-` for the rows of a CSV file on standard input
    names          further names of files, which may come as they are read; none of them is a folder or a pattern
    probabilities  also tell the number of every class
    top            also tell so many classes, the most probable first
    ignore_extra   pass over columns that training did not have
    separator      between two cells of a CSV file; None for that of the training file
    """

    words: Sequence[str]
    names: Iterable[str] = ()
    probabilities: bool = False
    top: int = 0
    ignore_extra: bool = False
    separator: str | None = None


def predict_run(folder: Path, asked: Asked, use: Use, writer: RowWriter, say: Callable[[str], None]) -> dict[str, Any]:
    """Answer `asked` by the run in `folder`, row by row in the order of the input; returns a summary.

    A sample that cannot be used is a row with the reason in the column `error`; the summary counts them. Raises
    ConfigError when there is no such run, DataError for input that cannot be read at all.
    """
    stored = restored(folder, use)
    for change in stored.changed:
        say(f"changed since training: {told(change)}")
    begun, rows = time.perf_counter(), _Rows(stored, asked, writer)
    batch_size = stored.experiment.config.eval_batch_size
    groups = in_batches(_Inputs(stored, asked, say).read(), batch_size)
    for group, answers in _answered(stored, groups):
        rows.add(group, answers)
    rows.finish()
    seconds = time.perf_counter() - begun
    return {
        "run": str(stored.run.path),
        "checkpoint": use.checkpoint,
        "items": rows.items,
        "bad": rows.bad,
        "first_bad": rows.first_bad,
        "seconds": round(seconds, 3),
        "items_per_second": round(rows.items / seconds, 1),
        "batch_size": batch_size,
        "device": str(stored.experiment.device),
        "precision": stored.experiment.precision.name,
        "changed_since_training": [vars(change) for change in stored.changed],
    }


def _answered(stored: Stored, groups: Iterable[Items]) -> Iterator[tuple[Items, Answers | None]]:
    """Each group with its answers; None where none of its items can be used."""
    experiment, spec = stored.experiment, stored.experiment.bundle.spec
    normalize = stored.normalize.to(experiment.device)
    waiting: deque[Items] = deque()

    def batches() -> Iterator[Batch]:
        for group in groups:
            waiting.append(group)
            if len(group.inputs):
                yield _batch(stored, normalize(group.inputs.to(experiment.device)))

    found = predictions(experiment.task, experiment.networks, batches(), experiment.precision)
    with closing(found):
        for prediction in found:
            while not len(waiting[0].inputs):
                yield waiting.popleft(), None
            yield waiting.popleft(), experiment.task.answers(spec, prediction)
    for group in waiting:
        yield group, None


def _batch(stored: Stored, inputs: torch.Tensor) -> Batch:
    """Inputs with stand-ins for targets, since a task's prediction comes with a loss: class 0, or the mean values."""
    spec, rows = stored.experiment.bundle.spec, torch.arange(len(inputs), device=inputs.device)
    if spec.targets == "class":
        return Batch(inputs, torch.zeros_like(rows), rows)
    return Batch(inputs, torch.tensor(spec.target_mean, device=inputs.device).expand(len(inputs), -1), rows)


class _Inputs:
    """The files that are asked about, each given to the reader of its kind."""

    def __init__(self, stored: Stored, asked: Asked, say: Callable[[str], None]) -> None:
        self._stored, self._asked, self._say = stored, asked, say
        self._is_image = stored.experiment.bundle.spec.inputs == "image"
        self._table: TableInput | None = None

    def read(self) -> Iterator[Items]:
        """The samples of all files in order. Columns of tables are checked before the first row is read."""
        paths, left_out = files_of(self._asked.words, None if self._is_image else TABLES + ARRAYS)
        if left_out:
            self._say(f"{len(left_out):,} files of other kinds were left out, such as {left_out[0]}")
        for path in paths:
            if self._kind(path) == "table" and path != STDIN:
                self._of_tables().check(path)
        for kind, some in groupby(self._all(paths), self._kind):
            if kind == "image":
                spec, found = self._stored.experiment.bundle.spec, self._stored.preprocessing
                yield from ImageInput.of(spec, found).read(some)
                continue
            reader: ArrayInput | TableInput = self._of_arrays() if kind == "array" else self._of_tables()
            for path in some:
                yield from reader.read(path)
        for note in self._table.notes() if self._table else ():
            self._say(note)

    def _all(self, paths: Sequence[str]) -> Iterator[str]:
        yield from paths
        yield from self._asked.names

    def _kind(self, path: str) -> str:
        if path.lower().endswith(ARRAYS):
            return "array"
        if path == STDIN and self._is_image:
            raise DataError("this run reads images", file=path, remedy="give their names with --files-from -")
        return "image" if self._is_image else "table"

    def _of_arrays(self) -> ArrayInput:
        return ArrayInput.of(self._stored.experiment.bundle.spec, self._stored.preprocessing)

    def _of_tables(self) -> TableInput:
        if self._table is None:
            arguments = self._stored.experiment.config.data.arguments
            found = TableInput.of(self._stored.preprocessing, arguments, self._asked.ignore_extra)
            separator = self._asked.separator
            self._table = found if separator is None else replace(found, separator=separator)
        return self._table


class _Rows:
    """Answers -> rows of output; those before the first answer wait for it, which tells the columns."""

    def __init__(self, stored: Stored, asked: Asked, writer: RowWriter) -> None:
        self._names = stored.experiment.bundle.spec.class_names
        self._asked, self._writer = asked, writer
        self._blank: tuple[str, ...] | None = None
        self._waiting: list[Items] = []
        self.items, self.bad = 0, 0
        self.first_bad: list[str] = []

    def add(self, group: Items, answers: Answers | None) -> None:
        """Write the rows of `group`."""
        self._count(group)
        if answers is not None:
            columns = self._chosen(answers)
            if self._blank is None:
                self._blank = tuple(columns)
                self.finish()
            self._write(group, columns)
        elif self._blank is None:
            self._waiting.append(group)
        else:
            self._write(group, {})

    def finish(self) -> None:
        """Write what has waited."""
        for group in self._waiting:
            self._write(group, {})
        self._waiting.clear()

    def _chosen(self, answers: Answers) -> Columns:
        found = dict(answers.columns)
        if answers.scores is None and (self._asked.top or self._asked.probabilities):
            word = "--top" if self._asked.top else "--probabilities"
            rule = "is for classes, and this run puts out numbers"
            raise ConfigError.one(word, self._asked.top or "", rule, "leave it out")
        if self._asked.top:
            found |= answers.top(self._names, self._asked.top)
        return {**found, **(answers.every(self._names) if self._asked.probabilities else {})}

    def _write(self, group: Items, columns: Columns) -> None:
        good = [place for place, problem in enumerate(group.problems) if not problem]
        told: dict[str, Sequence[Any]] = {}
        for name in self._blank or ():
            told[name] = columns[name] if len(good) == len(group.problems) else _spread(columns.get(name, ()), group)
        self._writer.write({**group.names, **told, "error": [problem or None for problem in group.problems]})

    def _count(self, group: Items) -> None:
        for place, problem in enumerate(group.problems):
            if problem:
                self.bad += 1
                if len(self.first_bad) < _NAMED:
                    self.first_bad.append(f"{group.names['input'][place]}: {problem}")
        self.items += len(group.problems)


def _spread(values: Sequence[Any], group: Items) -> list[Any]:
    """The values of the items that can be used in their places, None in the others."""
    rest = iter(values)
    return [None if problem else next(rest) for problem in group.problems]
