"""The workflow `dlexp predict`: predictions of a run for new samples."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch

from dlexp.artifacts.files.row_writer import Columns, RowWriter
from dlexp.artifacts.runs.run_tree import is_ensemble
from dlexp.data.augment.views import View
from dlexp.data.inference.items import InputItems, in_batches
from dlexp.engine.evaluate import seeded
from dlexp.errors import ConfigError, Problem
from dlexp.metrics.ensembles.combination import Combination
from dlexp.metrics.reports.prediction_columns import PredictionColumns
from dlexp.tasks.base import AnswersTexts
from dlexp.types import Batch, as_tensor, select, to_device
from dlexp.workflows.predict.anomalies import Judgement
from dlexp.workflows.predict.ensemble import check_mean, combine_batches, combined_columns, restore_members
from dlexp.workflows.predict.inputs import Inputs
from dlexp.workflows.predict.request import PredictRequest
from dlexp.workflows.predict.views import in_views, sample_views
from dlexp.workflows.predict.whole_images import WrittenImages, with_images, written_images
from dlexp.workflows.run_record.drift import describe
from dlexp.workflows.run_record.restore import RestoredRun, RestoreOptions

_NAMED = 10  # failed samples that the summary lists


def predict_run(
    folder: Path, request: PredictRequest, options: RestoreOptions, writer: RowWriter, say: Callable[[str], None]
) -> dict[str, Any]:
    """Predict samples with the run in `folder`, one row per sample in the order of the input; returns a summary.

    With a group of seeds, the predictions are the mean of the probabilities, or of the values, of its runs.
    A sample that cannot be predicted has the reason in the column `error`; the summary counts them.

    Args:
        folder: The directory of a run or of a group of seeds.
        request: The samples and the output columns.
        options: Checkpoint and overrides.
        writer: Receives the rows.
        say: Receives messages.

    Raises:
        ConfigError: There is no such run.
        DataError: The input cannot be read at all.
    """
    runs, how = restore_members(folder, options, request.others)
    stored = runs[0]
    for text in dict.fromkeys(describe(change) for run in runs for change in run.changed):
        say(f"changed since training: {text}")
    begun = time.perf_counter()
    found = answer(runs, how, request, writer, say, options.checkpoint)
    seconds = time.perf_counter() - begun
    whole = folder if is_ensemble(folder) else stored.run.path.parent
    return {
        "run": str(stored.run.path if request.others or (len(runs) == 1 and whole != folder) else whole),
        "mean_of": [str(run.run.path) for run in runs] if len(runs) > 1 else [],
        "views": request.tta,
        "weights": list(how.weights) if len(runs) > 1 else [],
        "checkpoint": options.checkpoint,
        **found,
        "seconds": round(seconds, 3),
        "items_per_second": round(found["items"] / seconds, 1),
        "batch_size": stored.experiment.config.eval_batch_size,
        "device": str(stored.experiment.device),
        "precision": stored.experiment.precision.name,
        "changed_since_training": [vars(change) for change in stored.changed],
    }


def answer(
    runs: Sequence[RestoredRun],
    how: Combination,
    request: PredictRequest,
    writer: RowWriter,
    say: Callable[[str], None],
    checkpoint: str = "best",
) -> dict[str, Any]:
    """Write a row per sample; returns the number of samples, the number of failures, and the first failures."""
    stored = runs[0]
    for run in runs:
        _set_generation(run, request)
    request = _asked(runs, request)
    images = written_images(runs, request)
    rows = _Rows(stored, request, writer)
    size = 1 if images else stored.experiment.config.eval_batch_size  # whole images may be large
    groups = in_batches(Inputs(stored, request, say).read(), size)
    views = sample_views(stored, request.tta, say)
    for group, answers in _answered(runs, how, groups, views, (Judgement(runs, checkpoint, say), images)):
        rows.add(*_without_undefined(group, answers))
    rows.finish()
    return {"items": rows.items, "bad": rows.bad, "first_bad": rows.first_bad}


def _answered(
    runs: Sequence[RestoredRun],
    how: Combination,
    groups: Iterable[InputItems],
    views: Sequence[View],
    judged: tuple[Judgement, WrittenImages | None],
) -> Iterator[tuple[InputItems, PredictionColumns | None]]:
    """Each group with its predictions; None if none of its samples is valid."""
    (judgement, images), stored = judged, runs[0]
    experiment = stored.experiment
    preprocess = stored.preprocess.to(experiment.device)
    waiting: deque[InputItems] = deque()

    def batches() -> Iterator[list[Batch]]:
        before = 0  # samples: each is known by its number in the call, whatever its batch
        for group in groups:
            waiting.append(group)
            if len(group.inputs):
                inputs = to_device(group.inputs, experiment.device)
                seen = [inputs] if len(views) < 2 else in_views(views, as_tensor(inputs), before)
                each = [stored.unlabeled(preprocess(one)) for one in seen]
                yield [replace(batch, indices=batch.indices + before) for batch in each]
                before += len(each[0])

    found = combine_batches(runs, how, seeded(batches(), experiment.config.seed))
    with closing(found):
        for prediction in found:
            while not len(waiting[0].inputs):
                yield waiting.popleft(), None
            columns = combined_columns(runs, how, prediction)
            check_mean(runs, columns, len(views))
            if images:
                columns = with_images(columns, images.column(waiting[0], prediction))
            yield waiting.popleft(), judgement.of(columns, prediction)
    for group in waiting:
        yield group, None


def _set_generation(stored: RestoredRun, request: PredictRequest) -> None:
    """Tell the task how to put sequences out. Raises ConfigError for one that puts out none."""
    task, given = stored.experiment.task, request.generation
    if hasattr(task, "generation"):
        task.generation = given if task.generation is None else given.over(task.generation)
    elif given.changed:
        settings = stored.experiment.config.task
        rule = f"has no effect: a run of task={settings.option} puts out no sequences"
        if "beam" in settings.arguments:
            rule = f"has no effect with task={settings.option}, whose alternatives are those of task.beam"
        remedies = {"--beam": f"Set task.beam={given.beam}"} if "beam" in settings.arguments else {}
        raise ConfigError(
            [Problem(word, "", rule, remedies.get(word, "Remove it."), code="no-effect") for word in given.changed]
        )


def _asked(runs: Sequence[RestoredRun], request: PredictRequest) -> PredictRequest:
    """The request whose texts are no samples, where the task compares samples with texts.

    Raises ConfigError for texts without a known token, and for texts without anything to compare them with.
    """
    tasks = [run.experiment.task for run in runs]
    if not request.texts or not all(isinstance(task, AnswersTexts) for task in tasks):
        return request
    names = iter(request.names)
    first = list(islice(names, 1))
    if not request.inputs and request.given is None and not first:
        rule = "is compared with images, and none is named"
        raise ConfigError.one("--text", request.texts[0], rule, "Name files of images too", code="missing-value")
    for task in tasks:
        assert isinstance(task, AnswersTexts)
        task.ask(request.texts)
    return replace(request, texts=(), names=chain(first, names))


def _without_undefined(
    group: InputItems, answers: PredictionColumns | None
) -> tuple[InputItems, PredictionColumns | None]:
    """The group and its predictions, with non-finite predictions replaced by a problem."""
    undefined = answers.undefined() if answers is not None else []
    if answers is None or not undefined:
        return group, answers
    problems = list(group.problems)
    places = [place for place, problem in enumerate(problems) if not problem]
    for number in undefined:
        problems[places[number]] = "the prediction is NaN or infinite"
    kept = [number for number in range(len(places)) if number not in set(undefined)]
    inputs = select(group.inputs, torch.tensor(kept, dtype=torch.int64))
    assert not isinstance(inputs, Mapping)
    return InputItems(group.names, problems, inputs), answers.without(undefined)


class _Rows:
    """Converts predictions to rows; rows before the first prediction wait for its columns."""

    def __init__(self, stored: RestoredRun, request: PredictRequest, writer: RowWriter) -> None:
        self._names = stored.experiment.bundle.spec.output_names
        self._request, self._writer = request, writer
        self._blank: tuple[str, ...] | None = None
        self._each = 1  # rows of a sample
        self._waiting: list[InputItems] = []
        self.items, self.bad = 0, 0
        self.first_bad: list[str] = []

    def add(self, group: InputItems, answers: PredictionColumns | None) -> None:
        """Write the rows of `group`."""
        self._count(group)
        if answers is not None:
            columns = self._chosen(answers)
            self._each = answers.rows_each
            if self._blank is None:
                self._blank = tuple(columns)
                self.finish()
            self._write(group, columns)
        elif self._blank is None:
            self._waiting.append(group)
        else:
            self._write(group, {})

    def finish(self) -> None:
        """Write the waiting rows."""
        for group in self._waiting:
            self._write(group, {})
        self._waiting.clear()

    def _chosen(self, answers: PredictionColumns) -> Columns:
        found = dict(answers.columns)
        if answers.scores is None and (self._request.top or self._request.probabilities):
            word = "--top" if self._request.top else "--probabilities"
            rule = "is only supported for classification"
            raise ConfigError.one(word, self._request.top or "", rule, "Remove it.", code="not-supported")
        if self._request.top:
            found |= answers.top(self._names, self._request.top)
        return {**found, **(answers.every(self._names) if self._request.probabilities else {})}

    def _write(self, group: InputItems, columns: Columns) -> None:
        good = [place for place, problem in enumerate(group.problems) if not problem]
        values: dict[str, Sequence[Any]] = {}
        for name in self._blank or ():
            whole = len(good) == len(group.problems)
            values[name] = columns[name] if whole else _spread(columns.get(name, ()), group, self._each)
        names, error = dict(group.names), [problem or None for problem in group.problems]
        if self._each > 1:
            counts = [1 if problem else self._each for problem in group.problems]
            names = {name: _repeated(cells, counts) for name, cells in names.items()}
            error = _repeated(error, counts)
        self._writer.write({**names, **values, "error": error})

    def _count(self, group: InputItems) -> None:
        for place, problem in enumerate(group.problems):
            if problem:
                self.bad += 1
                if len(self.first_bad) < _NAMED:
                    rows = group.names.get("row", range(len(group.problems)))
                    name = group.names["input"][place] or f"row {rows[place]}"  # an empty text has no name
                    self.first_bad.append(f"{name}: {problem}")
        self.items += len(group.problems)


def _spread(values: Sequence[Any], group: InputItems, each: int) -> list[Any]:
    """The values of valid samples, `each` rows of each; None in the one row of the others."""
    rest = iter(values)
    counts = (1 if problem else each for problem in group.problems)
    return [
        None if problem else next(rest)
        for problem, count in zip(group.problems, counts, strict=True)
        for _ in range(count)
    ]


def _repeated(cells: Sequence[Any], counts: Sequence[int]) -> list[Any]:
    """Each cell in all rows of its sample; one that is a tuple has a value for each row."""
    pairs = zip(cells, counts, strict=True)
    return [value for cell, count in pairs for value in (cell if isinstance(cell, tuple) else [cell] * count)]
