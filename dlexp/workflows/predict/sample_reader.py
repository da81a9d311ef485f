"""The interface of what reads new samples, one class for each kind of inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from dlexp.data.inference.items import InputItems
from dlexp.errors import ConfigError, DataError
from dlexp.kinds import describe_kind
from dlexp.workflows.predict.request import PredictRequest
from dlexp.workflows.run_record.restore import RestoredRun

if TYPE_CHECKING:
    from dlexp.workflows.predict.request import Given


class SampleReader(ABC):
    """Reads the samples of one kind of inputs as a run was trained on them.

    A sample that cannot be read is an item with a problem; what concerns a whole file is a DataError.
    """

    def __init__(self, stored: RestoredRun, request: PredictRequest) -> None:
        self.stored, self.request = stored, request

    @property
    @abstractmethod
    def suffixes(self) -> tuple[str, ...] | None:
        """Suffixes of the files that are read of a folder; None for those of images."""

    def check(self, path: str) -> None:
        """Raise DataError for a file that cannot be read, before the first sample of any file is predicted."""
        return

    @abstractmethod
    def read(self, paths: Iterable[str]) -> Iterator[InputItems]:
        """The samples of files, in order; `-` is standard input."""

    def read_given(self, given: Given) -> Iterator[InputItems]:
        """The samples that a Python program hands over. Raises DataError for a type that is not read."""
        raise self.refusal(f"{type(given).__name__} as samples")

    def read_texts(self, texts: Sequence[str]) -> Iterator[InputItems]:
        """The samples of `--text`. Raises ConfigError for a run of other samples."""
        kind = describe_kind(self.stored.experiment.bundle.spec.inputs.kind)
        rule = f"is for runs that read texts; this one was trained on {kind}"
        raise ConfigError.one("--text", texts[0], rule, "Name files instead.", code="not-supported")

    def notes(self) -> Iterable[str]:
        """Messages to the user about all that was read."""
        return ()

    def refusal(self, what: str) -> DataError:
        """The error for samples that this kind of run does not read."""
        kind = describe_kind(self.stored.experiment.bundle.spec.inputs.kind)
        return DataError(f"predicting {what} is not supported with {kind}", code="not-supported")
