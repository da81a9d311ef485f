"""The samples of a prediction, read from images, arrays and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from dlexp.data.inference.arrays import ArrayInput
from dlexp.data.inference.images import ImageInput
from dlexp.data.inference.items import ARRAYS, TABLES, InputItems, files_of
from dlexp.data.inference.tables import TableInput
from dlexp.data.memory.handed_over import PLACE
from dlexp.data.tables.files.opening import STDIN
from dlexp.data.tables.files.table_form import FormSettings
from dlexp.errors import DataError
from dlexp.findings import counted
from dlexp.kinds import describe_kind
from dlexp.specs import ImageSpec, TableSpec
from dlexp.workflows.run_record.restore import RestoredRun

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class PredictRequest:
    """The samples to predict and the columns of the output.

    Attributes:
        inputs: Files, directories, patterns; `-` for CSV rows on standard input.
        names: More file names, read as needed; no directories or patterns.
        probabilities: Whether to add a column for every class.
        top: How many of the most probable classes to add.
        ignore_extra: Whether to ignore columns that the training data did not have.
        separator: Of CSV files, as data.separator; None for the one that is detected.
        given: A DataFrame, or arrays by name, that a Python program hands over; None for files.
    """

    inputs: Sequence[str]
    names: Iterable[str] = ()
    probabilities: bool = False
    top: int = 0
    ignore_extra: bool = False
    separator: str | None = None
    given: pd.DataFrame | Mapping[str, NDArray[Any]] | None = None


class Inputs:
    """Reads the samples of all files, each with the reader for its type."""

    def __init__(self, stored: RestoredRun, request: PredictRequest, say: Callable[[str], None]) -> None:
        self._stored, self._request, self._say = stored, request, say
        self._is_image = isinstance(stored.experiment.bundle.spec.inputs, ImageSpec)
        self._table: TableInput | None = None
        kind = stored.experiment.bundle.spec.inputs
        if not isinstance(kind, ImageSpec | TableSpec):
            rule = f"predicting files is not supported with {describe_kind(kind.kind)}"
            raise DataError(rule, code="not-supported")

    def read(self) -> Iterator[InputItems]:
        """The samples of all files in order. The columns of tables are checked before the first row is read."""
        if self._request.given is not None:
            yield from self._handed_over(self._request.given)
            return
        paths, left_out = files_of(self._request.inputs, None if self._is_image else TABLES + ARRAYS)
        if left_out:
            self._say(f"skipped {counted(len(left_out), 'file')} of other types, such as {left_out[0]}")
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

    def _handed_over(self, given: pd.DataFrame | Mapping[str, NDArray[Any]]) -> Iterator[InputItems]:
        """The samples that a program hands over. Raises DataError for rows of a table given to a run of images."""
        if isinstance(given, Mapping):
            yield from self._of_arrays().read_arrays(str(PLACE), given)
            return
        if self._is_image:
            rule = "this run was trained on images, got a DataFrame"
            raise DataError(rule, file=PLACE, remedy="Pass an array or files of images.", code="incompatible-data")
        yield from self._of_tables().read_frame(given)
        for note in self._of_tables().notes():
            self._say(note)

    def _all(self, paths: Sequence[str]) -> Iterator[str]:
        yield from paths
        yield from self._request.names

    def _kind(self, path: str) -> str:
        if path.lower().endswith(ARRAYS):
            return "array"
        if path == STDIN and self._is_image:
            raise DataError(
                "standard input is not supported for images",
                file=path,
                remedy="Pass file names with --files-from -",
                code="not-supported",
            )
        return "image" if self._is_image else "table"

    def _of_arrays(self) -> ArrayInput:
        return ArrayInput.of(self._stored.experiment.bundle.spec, self._stored.preprocessing)

    def _of_tables(self) -> TableInput:
        if self._table is None:
            arguments = self._stored.experiment.config.data.arguments
            found = TableInput.of(self._stored.preprocessing, arguments, self._request.ignore_extra)
            separator = self._request.separator
            if separator is not None:
                found = replace(found, settings=FormSettings.of({**vars(found.settings), "separator": separator}))
            self._table = found
        return self._table
