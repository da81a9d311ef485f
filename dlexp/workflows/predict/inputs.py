"""The samples of a prediction, each read by the reader of the run's kind of inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from dlexp.data.inference.items import InputItems, files_of
from dlexp.errors import DataError
from dlexp.findings import counted
from dlexp.kinds import describe_kind
from dlexp.tasks.generative.images import ImageTask
from dlexp.workflows.predict.new_images import NewImages
from dlexp.workflows.predict.new_rows import NewRows
from dlexp.workflows.predict.new_series import NewSeries
from dlexp.workflows.predict.new_texts import NewTexts
from dlexp.workflows.predict.request import PredictRequest
from dlexp.workflows.predict.sample_reader import SampleReader
from dlexp.workflows.predict.whole_images import WholeImages
from dlexp.workflows.run_record.restore import RestoredRun

# By kind of inputs.
READERS: Mapping[str, type[SampleReader]] = {
    "image": NewImages,
    "tabular": NewRows,
    "tokens": NewTexts,
    "series": NewSeries,
}


class Inputs:
    """Reads the samples of a request."""

    def __init__(self, stored: RestoredRun, request: PredictRequest, say: Callable[[str], None]) -> None:
        """Raises DataError for a run whose kind of inputs is not read."""
        self._request, self._say = request, say
        kind = stored.experiment.bundle.spec.inputs.kind
        if kind not in READERS:
            rule = f"predicting files is not supported with {describe_kind(kind)}"
            raise DataError(rule, code="not-supported")
        is_whole = isinstance(stored.experiment.task, ImageTask) and request.given is None
        self._reader = (WholeImages if is_whole else READERS[kind])(stored, request)

    def read(self) -> Iterator[InputItems]:
        """All samples in order: texts, then what is handed over or files, which are checked before any is read."""
        if self._request.texts:
            yield from self._reader.read_texts(self._request.texts)
        if self._request.given is not None:
            yield from self._reader.read_given(self._request.given)
        else:
            paths, left_out = files_of(self._request.inputs, self._reader.suffixes)
            if left_out:
                self._say(f"skipped {counted(len(left_out), 'file')} of other types, such as {left_out[0]}")
            for path in paths:
                self._reader.check(path)
            yield from self._reader.read(self._all(paths))
        for note in self._reader.notes():
            self._say(note)

    def _all(self, paths: Sequence[str]) -> Iterator[str]:
        yield from paths
        yield from self._request.names
