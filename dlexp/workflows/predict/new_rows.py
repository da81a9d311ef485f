"""New rows of a table: files, standard input, DataFrames and arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from dlexp.data.inference.arrays import ArrayInput
from dlexp.data.inference.items import ARRAYS, TABLES, InputItems
from dlexp.data.inference.tables import TableInput
from dlexp.data.memory.handed_over import PLACE
from dlexp.data.tables.files.opening import STDIN
from dlexp.data.tables.files.table_form import FormSettings
from dlexp.workflows.predict.request import PredictRequest
from dlexp.workflows.predict.sample_reader import SampleReader
from dlexp.workflows.run_record.restore import RestoredRun

if TYPE_CHECKING:
    from dlexp.workflows.predict.request import Given


class NewRows(SampleReader):
    """Files of tables, .npy and .npz files, standard input, DataFrames and arrays in memory."""

    def __init__(self, stored: RestoredRun, request: PredictRequest) -> None:
        super().__init__(stored, request)
        self._table: TableInput | None = None

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Those of tables and of arrays."""
        return TABLES + ARRAYS

    def check(self, path: str) -> None:
        """Raise DataError for a file with other columns than those of training."""
        if path != STDIN and not path.lower().endswith(ARRAYS):
            self._of_tables().check(path)

    def read(self, paths: Iterable[str]) -> Iterator[InputItems]:
        """The rows of files."""
        for path in paths:
            is_array = path.lower().endswith(ARRAYS)
            reader: ArrayInput | TableInput = self._of_arrays() if is_array else self._of_tables()
            yield from reader.read(path)

    def read_given(self, given: Given) -> Iterator[InputItems]:
        """The rows of a DataFrame, or of an array."""
        if isinstance(given, Mapping):
            yield from self._of_arrays().read_arrays(str(PLACE), given)
        else:
            yield from self._of_tables().read_frame(given)

    def notes(self) -> Iterable[str]:
        """Messages about cells that training did not have."""
        return self._table.notes() if self._table else ()

    def _of_arrays(self) -> ArrayInput:
        return ArrayInput.of(self.stored.experiment.bundle.spec, self.stored.preprocessing)

    def _of_tables(self) -> TableInput:
        if self._table is None:
            arguments = self.stored.experiment.config.data.arguments
            found = TableInput.of(self.stored.preprocessing, arguments, self.request.ignore_extra)
            separator = self.request.separator
            if separator is not None:
                found = replace(found, settings=FormSettings.of({**vars(found.settings), "separator": separator}))
            self._table = found
        return self._table
