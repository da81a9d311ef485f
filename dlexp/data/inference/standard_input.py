"""Standard input as a file, for readers that need a whole file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dlexp.data.tables.files.opening import STDIN, opened
from dlexp.errors import DataError


@contextmanager
def standard_input(suffix_of: Callable[[bytes], str]) -> Iterator[Path]:
    """The content of standard input as a file, which is gone after the block.

    Args:
        suffix_of: The suffix of the file, by the first bytes.

    Raises:
        DataError: One of the block about this file names `-` in its place.
    """
    with tempfile.TemporaryDirectory() as folder:
        with opened(STDIN) as given:
            path = Path(folder, f"input{suffix_of(given.head)}")
            with path.open("wb") as file:
                shutil.copyfileobj(given.stream, file)
        try:
            yield path
        except DataError as error:
            if str(error.file) != str(path):
                raise
            raise DataError(
                error.rule,
                file=STDIN,
                column=error.column,
                row=error.row,
                remedy=error.remedy,
                unit=error.unit,
                code=error.code,
            ) from error
