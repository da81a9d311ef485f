"""Readers of Parquet and Feather files; they require pyarrow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dlexp.data.tables.features.problems import ColumnProblem, raise_all
from dlexp.data.tables.files.arrow_columns import check_type, raw_column
from dlexp.data.tables.files.pieces import ROWS_AT_A_TIME, OpenTable, Piece
from dlexp.data.tables.index_columns import pandas_index
from dlexp.data.tables.raw_column import RawColumn
from dlexp.data.tables.spelling import Marks
from dlexp.errors import ConfigError, DataError


@dataclass(frozen=True)
class ArrowFile:
    """An open file with typed columns.

    names    the columns
    types    their Arrow types
    index    the columns that pandas declares as the index
    read     returns an Arrow table of some columns
    batches  yields record batches of some columns
    """

    path: str
    names: list[str]
    types: list[Any]
    index: tuple[str, ...]
    read: Callable[[list[str]], Any]
    batches: Callable[[list[str]], Iterator[Any]]

    def columns(
        self, wanted: Sequence[str], marks: Marks, targets: Sequence[str], declared: Mapping[str, str]
    ) -> tuple[dict[str, RawColumn], int]:
        """(the columns `wanted` by name, number of rows). Raises DataError for other types and without rows."""
        repeated = sorted(name for name, count in Counter(self.names).items() if count > 1)
        if repeated:
            raise DataError(f"duplicate column names: {', '.join(map(repr, repeated))}", file=self.path)
        problems = []
        for name in wanted:
            try:
                remedy = "Write one number or text per row, or set another data.target" if name in targets else ""
                check_type(self.path, name, self._type_of(name), remedy)
            except DataError as error:
                problems.append(ColumnProblem(error, name, "" if name in targets else "drop"))
        raise_all(problems, Path(self.path), declared)
        table = self.read(list(wanted))
        if not table.num_rows:
            raise DataError("has no rows", file=self.path, code="too-few-samples")
        return {name: raw_column(self.path, name, table.column(name), marks) for name in wanted}, table.num_rows

    def opened(self, marks: Marks) -> OpenTable:
        """The file for sequential reading; rows count from 0."""
        import pyarrow as arrow

        def rows(places: Sequence[int]) -> Iterator[Piece]:
            wanted, number = [self.names[place] for place in places], 0
            for name in wanted:
                check_type(self.path, name, self._type_of(name), "Write numbers or texts, as in training.")
            try:
                for piece in self.batches(wanted):
                    columns = [raw_column(self.path, name, piece.column(name), marks) for name in wanted]
                    yield Piece(columns, [""] * len(piece), list(range(number, number + len(piece))))
                    number += len(piece)
            except (arrow.ArrowException, OSError) as error:
                raise DataError(f"cannot be read after this row: {error}", file=self.path, row=number) from error

        return OpenTable([name.strip() for name in self.names], rows, "row")

    def _type_of(self, name: str) -> Any:
        return self.types[self.names.index(name)]


@contextmanager
def arrow_file(path: str, kind: str, stream: IO[bytes]) -> Iterator[ArrowFile]:
    """Open a file of this kind, `parquet` or `feather`. Raises DataError if invalid, ConfigError without pyarrow."""
    try:
        import pyarrow as pa
    except ImportError as error:
        rule = f"{kind.capitalize()} requires the package pyarrow"
        raise ConfigError.one(
            "data", path, rule, "Install it: pip install 'dlexp[parquet]'", code="missing-package"
        ) from error
    try:
        if kind == "parquet":
            from pyarrow import parquet

            with parquet.ParquetFile(_source(path, stream, pa)) as file:
                yield _parquet(path, file)
        else:
            from pyarrow import feather

            table = feather.read_table(_source(path, stream, pa))
            yield _feather(path, table)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, DataError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"not a valid {kind.capitalize()} file: {reason}", file=path) from error


def _source(path: str, stream: IO[bytes], pa: Any) -> Any:
    """What pyarrow reads: the file itself, or the content of a stream that is not one."""
    return path if Path(path).is_file() and _is_plain(stream) else pa.BufferReader(stream.read())


def _is_plain(stream: Any) -> bool:
    return hasattr(stream, "raw") and hasattr(stream, "fileno") and getattr(stream, "name", None) is not None


def _parquet(path: str, file: Any) -> ArrowFile:
    schema = file.schema_arrow
    return ArrowFile(
        path,
        [str(name) for name in schema.names],
        list(schema.types),
        pandas_index(schema.metadata),
        lambda wanted: file.read(columns=wanted),
        lambda wanted: file.iter_batches(batch_size=ROWS_AT_A_TIME, columns=wanted),
    )


def _feather(path: str, table: Any) -> ArrowFile:
    return ArrowFile(
        path,
        [str(name) for name in table.schema.names],
        list(table.schema.types),
        pandas_index(table.schema.metadata),
        table.select,
        lambda wanted: iter(table.select(wanted).to_batches(max_chunksize=ROWS_AT_A_TIME)),
    )
