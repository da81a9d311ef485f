"""The next steps of series in new files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dlexp.data.inference.items import TABLES, InputItems
from dlexp.data.inference.series import SeriesInput
from dlexp.workflows.predict.request import PredictRequest
from dlexp.workflows.predict.sample_reader import SampleReader
from dlexp.workflows.run_record.restore import RestoredRun


class NewSeries(SampleReader):
    """Files of series as those of training: one forecast for each series, of the steps after its last one."""

    def __init__(self, stored: RestoredRun, request: PredictRequest) -> None:
        super().__init__(stored, request)
        arguments = stored.experiment.config.data.arguments
        self._input = SeriesInput.of(stored.preprocessing, arguments, request.separator)

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Those of tables."""
        return (*TABLES, ".tsf")

    def check(self, path: str) -> None:
        """Raise DataError for a file without series like those of training."""
        self._input.check(path)

    def read(self, paths: Iterable[str]) -> Iterator[InputItems]:
        """A window of each series of each file."""
        for path in paths:
            yield self._input.read(path)

    def notes(self) -> Iterable[str]:
        """What was filled in or left out."""
        return self._input.notes
