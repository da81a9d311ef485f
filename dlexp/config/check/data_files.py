"""A file or directory that is given where a data set is expected: `data=people.csv`. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from dlexp.config.check.missing import likely_target
from dlexp.text.quoting import text_value

_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".xlsx", ".parquet", ".pq", ".feather")
_COMPRESSED = (".gz", ".xz", ".zip", ".zst", ".bz2")


def words_of_file(name: str) -> tuple[str, ...]:
    """Return the words that choose the data of a file or directory, such as data=csv data.path=people.csv.

    A table that can be read brings the column that is likely its target. () for a name that is no path.
    """
    path = Path(name.strip("\"'")).expanduser()
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in _COMPRESSED]
    ending = suffixes[-1] if suffixes else ""
    option = "csv" if ending in _TABLES else "arrays" if ending == ".npz" else None
    if option is None and ("/" in name or name in (".", "..")) and path.is_dir():
        option = "image_folder"
    if option is None:
        return ()
    words = (f"data={option}", f"data.path={text_value(str(path))}")
    from dlexp.data.tables.column_names import column_names  # with numpy, for a file alone

    columns = column_names(path) if option == "csv" else []
    return (*words, f"data.target={text_value(likely_target(columns))}") if columns else words
