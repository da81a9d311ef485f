"""Problems of required keys without a value, with a line that sets them from the files at hand. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlexp.data.memory.handed_over import PLACE, names_handed_over
from dlexp.errors import Problem
from dlexp.text.nearest import nearest_name
from dlexp.text.quoting import listed, setting

if TYPE_CHECKING:
    from dlexp.config.schema.run import RunConfig

_NAMED = 20  # columns listed in a message
_USUAL_TARGETS = ("target", "label", "labels", "class", "y", "outcome")
_TABLES = (".csv", ".tsv", ".csv.gz", ".csv.zip", ".jsonl", ".ndjson", ".xlsx", ".parquet", ".pq", ".feather")
_ROOMS = ("dlexp.data.sources.", "dlexp.data.memory.", "dlexp.data.texts.")
# Module of a source -> the suffixes of its files; () for a directory.
_FILES: Mapping[str, tuple[str, ...]] = {
    "table_file": _TABLES,
    "text_source": _TABLES,
    "arrays": (".npz",),
    "image_folder": (),
    "imagenet": (),
}


def missing_problems(keys: Sequence[str], tree: Mapping[str, Any]) -> list[Problem]:
    """Return a problem for each of `keys`, which have no value in `tree`, a configuration as plain containers."""
    return [*_path_not_found(keys, tree), *(_problem(key, tree) for key in keys)]


def missing_note(keys: Sequence[str], config: RunConfig) -> list[str]:
    """Return what to say of a configuration that is shown although `keys` have no value; [] if all have one."""
    if not keys:
        return []
    them = "it" if len(keys) == 1 else "them"
    they = "it has" if len(keys) == 1 else "they have"
    detected = "; the task is detected from the data" if config.data.arguments.get("target_kind") == "auto" else ""
    words = " ".join(f"{key}=..." for key in keys)
    said = f"required keys without a value have ???; set {them} to train: {words}"
    return [said, f"what fits together is checked when {they} a value{detected}"]


def _path_not_found(keys: Sequence[str], tree: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problem of a data.path whose columns cannot be listed since there is no such file."""
    data = tree.get("data")
    path = data.get("path") if isinstance(data, Mapping) and "data.target" in keys else None
    if isinstance(path, str) and "data.path" not in keys and "${" not in path and not Path(path).expanduser().exists():
        folder = Path(path).expanduser().parent
        names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        near = nearest_name(Path(path).name, names)
        remedy = f"Did you mean {setting('data.path', str(Path(path).parent / near))}?" if near else ""
        yield Problem("data.path", path, "file not found", remedy, code="not-found")


def _problem(key: str, tree: Mapping[str, Any]) -> Problem:
    data = tree.get("data")
    data = data if isinstance(data, Mapping) else {}
    if key == "data.target" and (columns := _columns(data)):
        more = f", ... ({len(columns):,} in all)" if len(columns) > _NAMED else ""
        place = data.get("path", PLACE)
        rule = f"required: the column to predict. The columns of {place} are {listed(columns[:_NAMED])}{more}"
        return Problem(key, "", rule, f"Add {setting(key, likely_target(columns))}", code="missing-value")
    if key == "data.path" and (file := next(_files(data), None)) is not None:
        return Problem(key, "", "required: the file to read", f"Add {setting(key, file)}", code="missing-value")
    word = "DIRECTORY" if key == "data.path" and _FILES.get(_source(data)) == () else "..."
    return Problem(key, "", "required", f"Add {key}={word}", code="missing-value")


def _columns(data: Mapping[str, Any]) -> list[str]:
    """The columns of the table that data.path names or a program hands over; [] without one."""
    if _source(data) in ("dataframe", "text_dataframe"):
        return names_handed_over()
    path, separator = data.get("path"), data.get("separator", "auto")
    if _source(data) != "table_file" or not isinstance(path, str) or "${" in path or path == "???":
        return []
    from dlexp.data.tables.column_names import column_names  # numpy, which a whole configuration does not need

    return column_names(Path(path).expanduser(), str(separator))


def likely_target(columns: Sequence[str]) -> str:
    """Return the column with a usual name of a target, else the last one, where most tables have theirs."""
    by_name = {name.lower(): name for name in reversed(columns)}
    return next((by_name[name] for name in _USUAL_TARGETS if name in by_name), columns[-1])


def _files(data: Mapping[str, Any]) -> Iterator[str]:
    """Files in the current directory that the source reads, by name."""
    suffixes = _FILES.get(_source(data), ())
    try:
        there = sorted(Path().iterdir()) if suffixes else []
    except OSError:
        return
    yield from (path.name for path in there if path.name.lower().endswith(suffixes) and path.is_file())


def _source(data: Mapping[str, Any]) -> str:
    """The module of the data source, such as `table_file`; "" for a source of the user's own."""
    target = str(data.get("_target_", ""))
    return target.split(".")[-2] if target.startswith(_ROOMS) else ""
