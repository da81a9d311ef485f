"""The text of a corpus: a file, or all text files of a folder."""

from __future__ import annotations

from pathlib import Path

from dlexp.artifacts.files.reading import is_folder
from dlexp.data.tables.files.opening import opened
from dlexp.data.tables.files.text_form import text_in
from dlexp.errors import DataError

SUFFIXES = (".txt", ".md", ".rst", ".text")
_BETWEEN = "\n\n"


def read_corpus(path: Path, encoding: str = "auto") -> tuple[str, list[Path], list[str]]:
    """(text, the files it comes from, files of other types in the folder, which are not read).

    The files of a folder and of the folders in it are read in alphabetical order, with an empty line between them.

    Args:
        path: A file of text, which may be compressed, or a folder.
        encoding: Of the files; auto: that of each file, by its bytes.

    Raises:
        DataError: There is no such file, no text in it, or an encoding that is not its own.
    """
    if not is_folder(path):
        return corpus_text(path, encoding), [path], []
    found = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    files = [file for file in found if file.name.lower().endswith(SUFFIXES)]
    if not files:
        rule, remedy = (
            f"has no text files ({', '.join(SUFFIXES)})",
            "Set data.path to a folder of text files, or a file.",
        )
        raise DataError(rule, file=path, remedy=remedy, code="not-found")
    read = set(files)
    others = [str(file.relative_to(path)) for file in found if file not in read]
    return _BETWEEN.join(corpus_text(file, encoding) for file in files), files, others


def corpus_text(file: Path, encoding: str = "auto") -> str:
    """The text of a file, with line ends as `\\n`. Raises DataError as `read_corpus` does."""
    with opened(str(file)) as open_file:
        if open_file.format != "text":
            rule = f"is a file of format {open_file.format}, not a text"
            raise DataError(rule, file=file, remedy="Use data=csv for a table.", code="invalid-type")
        content = open_file.stream.read()
    text = text_in(content, file, encoding).replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise DataError("has no text", file=file, remedy="Remove it, or set data.path to another file.")
    return text
