"""The next steps of series in new files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dlexp.data.inference.items import TABLES, InputItems
from dlexp.data.inference.labeled_series import LabeledInput
from dlexp.data.inference.series import SeriesInput
from dlexp.data.series.labeled import KIND
from dlexp.data.tables.files.opening import STDIN
from dlexp.sequence_specs import SeriesSpec
from dlexp.workflows.predict.request import PredictRequest
from dlexp.workflows.predict.sample_reader import SampleReader
from dlexp.workflows.run_record.restore import RestoredRun


class NewSeries(SampleReader):
    """Files of series as those of training: the steps after the last one of each, or its class or value."""

    def __init__(self, stored: RestoredRun, request: PredictRequest) -> None:
        super().__init__(stored, request)
        arguments = stored.experiment.config.data.arguments
        spec, plain = stored.experiment.bundle.spec.inputs, stored.preprocessing
        self._input: SeriesInput | LabeledInput
        if plain.get("kind") == KIND:
            self._input = LabeledInput.of(plain, spec.max_length if isinstance(spec, SeriesSpec) else 0)
        else:
            self._input = SeriesInput.of(plain, arguments, request.separator)

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Those of tables, or of labeled series."""
        return (".ts",) if isinstance(self._input, LabeledInput) else (*TABLES, ".tsf")

    def check(self, path: str) -> None:
        """Raise DataError for a file without series like those of training."""
        if path != STDIN:  # it can be read once
            self._input.check(path)

    def read(self, paths: Iterable[str]) -> Iterator[InputItems]:
        """A window of each series of each file, or the whole of it."""
        for path in paths:
            yield self._input.read(path)

    def notes(self) -> Iterable[str]:
        """What was filled in or left out."""
        return self._input.notes
