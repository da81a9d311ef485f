"""New texts: words of the command line, files of lines, text files, tables, standard input and DataFrames."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dlexp.data.inference.items import TABLES, InputItems
from dlexp.data.inference.texts import TextInput
from dlexp.data.memory.handed_over import PLACE
from dlexp.data.texts.text_folder import TEXTS
from dlexp.errors import DataError
from dlexp.sequence_specs import NextTokenSpec, TokenSpec
from dlexp.workflows.predict.request import PredictRequest
from dlexp.workflows.predict.sample_reader import SampleReader
from dlexp.workflows.run_record.restore import RestoredRun

if TYPE_CHECKING:
    from dlexp.workflows.predict.request import Given


class NewTexts(SampleReader):
    """Texts for a run that was trained on texts."""

    def __init__(self, stored: RestoredRun, request: PredictRequest) -> None:
        """Raises DataError for a run of token ids that are no texts."""
        super().__init__(stored, request)
        spec, targets = stored.experiment.bundle.spec.inputs, stored.experiment.bundle.spec.targets
        assert isinstance(spec, TokenSpec)
        if isinstance(targets, NextTokenSpec):  # a long text is continued from its end, which is not cut off
            spec = replace(spec, max_length=sys.maxsize)
        self._texts = TextInput.of(spec, stored.preprocessing, request.separator)

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Those of text files; and of tables, where training had one."""
        return TEXTS.suffixes if self._texts.by_file else (*TABLES, *TEXTS.suffixes)

    def check(self, path: str) -> None:
        """Raise DataError for a table without the columns of the texts."""
        if path != "-":
            self._texts.check(path)

    def read(self, paths: Iterable[str]) -> Iterator[InputItems]:
        """The texts of files."""
        for path in paths:
            yield from self._texts.read(path)

    def read_given(self, given: Given) -> Iterator[InputItems]:
        """The texts of a DataFrame. Raises DataError for arrays of numbers."""
        if isinstance(given, Mapping):
            rule = "this run was trained on texts, got an array of numbers"
            remedy = "Pass a list of texts, a DataFrame or files."
            raise DataError(rule, file=PLACE, remedy=remedy, code="incompatible-data")
        yield from self._texts.read_frame(given)

    def read_texts(self, texts: Sequence[str]) -> Iterator[InputItems]:
        """The texts as they are."""
        yield from self._texts.read_texts(texts)

    def notes(self) -> Iterable[str]:
        """Messages about unknown tokens and cut-off texts."""
        return self._texts.notes()
