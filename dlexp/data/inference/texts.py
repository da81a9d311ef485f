"""Prediction inputs from texts: lines, files and columns of tables, as a run reads its training texts.

Symbols: N samples, G usable samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from dlexp.data.columns import read_all
from dlexp.data.inference.items import InputItems
from dlexp.data.memory.handed_over import PLACE
from dlexp.data.tables.files.opening import STDIN, opened
from dlexp.data.tables.files.pieces import OpenTable
from dlexp.data.tables.files.reading import open_table
from dlexp.data.tables.files.table_form import FormSettings, TableForm
from dlexp.data.tables.files.text_form import text_in
from dlexp.data.tables.spelling import Marks
from dlexp.data.texts.encoding import encoded_texts
from dlexp.data.texts.text_columns import texts_of
from dlexp.data.texts.text_folder import TEXTS
from dlexp.errors import DataError
from dlexp.findings import counted
from dlexp.sequence_specs import TokenSpec
from dlexp.text.nearest import nearest_name
from dlexp.text.quoting import listed
from dlexp.text.vocabulary import PLURALS, split_text
from dlexp.types import Sequences

if TYPE_CHECKING:
    import pandas as pd

_PIECE = 1024  # texts encoded at a time
_NAMED = 5  # unknown tokens named in a note
_COLUMN = "text"  # of texts of runs that were trained on no table


@dataclass
class TextInput:
    """The encoding of texts as inputs of a network.

    spec      of the inputs
    columns   of a table that hold the texts, joined row by row
    by_file   whether a text file is one text, as in training; otherwise each of its lines is one
    settings  what the user sets of the form of a table
    """

    spec: TokenSpec
    columns: tuple[str, ...]
    by_file: bool
    trained: TableForm
    settings: FormSettings = field(default_factory=FormSettings)
    unknown: Counter[str] = field(default_factory=Counter)
    total: int = 0
    unknown_total: int = 0
    cut: int = 0
    by_line: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, spec: TokenSpec, preprocessing: Mapping[str, Any], separator: str | None) -> TextInput:
        """The encoding that a run records. Raises DataError for a run of token ids that are no texts."""
        if spec.vocabulary is None:
            rule = "this run was trained on token ids that are no texts"
            raise DataError(rule, code="incompatible-data")
        columns = tuple(preprocessing.get("text", ())) or (_COLUMN,)
        settings = FormSettings.of({"separator": separator}) if separator else FormSettings()
        by_file = preprocessing.get("source") != "table"
        return cls(spec, columns, by_file, TableForm.from_plain(preprocessing.get("form", {})), settings)

    def check(self, path: str) -> None:
        """Raise DataError for a table that cannot be read, or has not the columns of the texts."""
        if not _is_text(path):
            with open_table(path, self.settings, Marks([]), self.trained) as (table, _):
                self._places(path, table.header)

    def read(self, path: str) -> Iterator[InputItems]:
        """The texts of a file, or of standard input for `-`; an unusable one is an item with a problem."""
        if path == STDIN:
            yield from self._of_input()
        elif _is_text(path):
            with opened(path) as file:
                content = file.stream.read()
            yield from self._of_text(path, text_in(content, path).strip())
        else:
            with open_table(path, self.settings, Marks([]), self.trained) as (table, _):
                yield from self._of_table(path, table)

    def read_frame(self, frame: pd.DataFrame) -> Iterator[InputItems]:
        """The texts of a DataFrame."""
        from dlexp.data.memory.frame_columns import open_frame  # pandas, which other inputs do not need

        yield from self._of_table(str(PLACE), open_frame(frame, Marks([])))

    def read_texts(self, texts: Sequence[str], name: str = "") -> Iterator[InputItems]:
        """Texts as they are; `name` says where they are from, or each is called by itself."""
        for start in range(0, len(texts), _PIECE):
            some = texts[start : start + _PIECE]
            names: dict[str, list[Any]] = {"input": [name or text for text in some]}
            names["row"] = list(range(start, start + len(some)))
            yield self.encoded(names, some, [""] * len(some))

    def encoded(self, names: dict[str, list[Any]], texts: Sequence[str], problems: Sequence[str]) -> InputItems:
        """N texts -> their items; those that are empty or have no known token have a problem."""
        vocabulary = self.spec.vocabulary
        assert vocabulary is not None
        found = list(problems)
        kept = []
        for number, text in enumerate(texts):
            if found[number]:
                continue
            ids = vocabulary.encode(text)
            lost = ids.count(vocabulary.unknown)
            if not text.strip() or not ids:
                found[number] = "the text is empty"
            elif lost == len(ids):
                found[number] = f"the text has no {vocabulary.unit} that training had"
            else:
                kept.append(text)
                self._count(text, ids)
        column = encoded_texts(kept, self.spec)
        inputs = read_all(column) if kept else Sequences(torch.zeros(0, 0, dtype=torch.int64), torch.zeros(0).long())
        assert isinstance(inputs, Sequences)
        return InputItems(names, found, inputs)

    def notes(self) -> list[str]:
        """Messages to the user about the texts that were read."""
        vocabulary = self.spec.vocabulary
        assert vocabulary is not None
        found, what = [], PLURALS[vocabulary.unit]
        if self.by_line:
            found.append(f"{listed(self.by_line[:_NAMED])}: each line is a text")
        if self.unknown_total:
            named = ", ".join(repr(text) for text, _ in self.unknown.most_common(_NAMED))
            more = ", ..." if len(self.unknown) > _NAMED else ""
            share = f"{self.unknown_total:,} of {self.total:,} {what} ({100 * self.unknown_total / self.total:.0f} %)"
            found.append(f"{share} are none that training had: {named}{more}")
        if self.cut:
            found.append(f"{counted(self.cut, 'text is', 'texts are')} read up to {self.spec.max_length:,} {what} only")
        return found

    def _count(self, text: str, ids: Sequence[int]) -> None:
        vocabulary = self.spec.vocabulary
        assert vocabulary is not None
        self.total += len(ids)
        self.cut += len(ids) > self.spec.max_length
        lost = ids.count(vocabulary.unknown)
        self.unknown_total += lost
        if lost:
            tokens = split_text(text.lower() if vocabulary.lowercase else text, vocabulary.unit)
            self.unknown.update(
                token for token, number in zip(tokens, ids, strict=True) if number == vocabulary.unknown
            )

    def _of_input(self) -> Iterator[InputItems]:
        """Standard input: a table where its first line names the column of the texts or is JSON, otherwise texts."""
        with opened(STDIN) as file:
            first = file.head.split(b"\n", 1)[0].decode(errors="replace").strip()
            is_table = not self.by_file and (first.startswith(("{", "[")) or _has(first, self.columns))
            if is_table:
                from dlexp.data.tables.files.detection import form_of
                from dlexp.data.tables.files.rows import open_rows

                form = form_of(STDIN, file, self.settings, Marks([]), self.trained)
                with open_rows(STDIN, file, form, self.settings, Marks([]), self.trained) as (table, _):
                    yield from self._of_table(STDIN, table)
                return
            content = file.stream.read()
        yield from self._of_text(STDIN, text_in(content, STDIN).strip())

    def _of_text(self, path: str, content: str) -> Iterator[InputItems]:
        if self.by_file:
            yield self.encoded({"input": [path], "row": [0]}, [content], [""])
            return
        lines = content.splitlines()
        if not lines:
            raise DataError("has no texts", file=path, code="too-few-samples")
        if path != STDIN or len(lines) > 1:
            self.by_line.append(path)
        for start in range(0, len(lines), _PIECE):
            some = lines[start : start + _PIECE]
            numbers = list(range(start, start + len(some)))
            problems = [
                "" if text.strip() else f"line {start + n + 1}, the text is empty" for n, text in enumerate(some)
            ]
            yield self.encoded({"input": [path] * len(some), "row": numbers}, some, problems)

    def _of_table(self, path: str, table: OpenTable) -> Iterator[InputItems]:
        number = 0
        for piece in table.rows(self._places(path, table.header)):
            count = len(piece.problems)
            names: dict[str, list[Any]] = {"input": [path] * count, "row": list(range(number, number + count))}
            number += count
            items = self.encoded(names, texts_of(piece.columns), piece.problems)
            places = [
                f"{table.place} {place}, {text}" if text else ""
                for place, text in zip(piece.places, items.problems, strict=True)
            ]
            yield InputItems(names, places, items.inputs)
        if not number:
            raise DataError("has no rows", file=path, code="too-few-samples")

    def _places(self, path: str, header: Sequence[str]) -> list[int]:
        """The positions of the columns of texts. Raises DataError for a missing one."""
        for name in self.columns:
            if name not in header:
                near = nearest_name(name, header)
                meant = f", perhaps {near!r}" if near else ""
                rule = f"has no column {name!r}, the texts of training; its columns are {listed(header[:20])}"
                remedy = f"Rename the column of the texts{meant}, or pass a .txt file"
                raise DataError(rule, file=path, remedy=remedy, code="incompatible-data")
        return [list(header).index(name) for name in self.columns]


def _is_text(path: str) -> bool:
    name = path.lower()
    return name.removesuffix(".gz").endswith(TEXTS.suffixes)


def _has(line: str, columns: Iterable[str]) -> bool:
    """Whether a line is a header with these columns."""
    cells = {
        cell.strip().strip('"').strip()
        for cell in line.replace(";", ",").replace("\t", ",").replace("|", ",").split(",")
    }
    return set(columns) <= cells
