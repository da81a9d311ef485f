"""Which samples a run is request about, each file given to the reader of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from dlexp.data.inference.arrays import ArrayInput
from dlexp.data.inference.images import ImageInput
from dlexp.data.inference.items import ARRAYS, TABLES, InputItems, files_of
from dlexp.data.inference.row_reader import STDIN
from dlexp.data.inference.tables import TableInput
from dlexp.errors import DataError
from dlexp.kinds import describe_kind
from dlexp.report.number_format import counted
from dlexp.specs import ImageSpec, TableSpec
from dlexp.workflows.run_record.restore import RestoredRun


@dataclass(frozen=True)
class PredictRequest:
    """What is request, and how it is answered.

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


class Inputs:
    """The files that are request about, each given to the reader of its kind."""

    def __init__(self, stored: RestoredRun, request: PredictRequest, say: Callable[[str], None]) -> None:
        self._stored, self._request, self._say = stored, request, say
        self._is_image = isinstance(stored.experiment.bundle.spec.inputs, ImageSpec)
        self._table: TableInput | None = None
        kind = stored.experiment.bundle.spec.inputs
        if not isinstance(kind, ImageSpec | TableSpec):
            rule = f"predicting files is not supported with {describe_kind(kind.kind)}"
            raise DataError(rule, code="not-supported")

    def read(self) -> Iterator[InputItems]:
        """The samples of all files in order. Columns of tables are checked before the first row is read."""
        paths, left_out = files_of(self._request.words, None if self._is_image else TABLES + ARRAYS)
        if left_out:
            self._say(f"{counted(len(left_out), 'file')} of another kind left out, such as {left_out[0]}")
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
        yield from self._request.names

    def _kind(self, path: str) -> str:
        if path.lower().endswith(ARRAYS):
            return "array"
        if path == STDIN and self._is_image:
            raise DataError(
                "this run reads images", file=path, remedy="give their names with --files-from -", code="not-supported"
            )
        return "image" if self._is_image else "table"

    def _of_arrays(self) -> ArrayInput:
        return ArrayInput.of(self._stored.experiment.bundle.spec, self._stored.preprocessing)

    def _of_tables(self) -> TableInput:
        if self._table is None:
            arguments = self._stored.experiment.config.data.arguments
            found = TableInput.of(self._stored.preprocessing, arguments, self._request.ignore_extra)
            separator = self._request.separator
            self._table = found if separator is None else replace(found, separator=separator)
        return self._table
