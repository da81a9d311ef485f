"""The names of the columns of a table in a file, for messages about a missing `data.target`. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from dlexp.data.tables.spelling import Marks
from dlexp.data.tables.text_file import TextFile
from dlexp.errors import DataError

PARQUET = (".parquet", ".pq")


def column_names(path: Path, separator: str = ",") -> list[str]:
    """The columns of a CSV or Parquet file; [] for a file that cannot be read, which its reader reports later.

    Args:
        path: The file; its suffix decides whether it is read as Parquet.
        separator: Between two cells of a text file.
    """
    try:
        if path.suffix.lower() in PARQUET:
            from pyarrow import parquet  # an optional package

            with parquet.ParquetFile(path) as source:
                return [str(name) for name in source.schema_arrow.names]
        return TextFile(path, separator, Marks()).header
    except (DataError, ImportError, OSError, ValueError):  # ArrowInvalid is a ValueError
        return []
