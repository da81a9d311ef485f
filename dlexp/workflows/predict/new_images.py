"""New images: files, and arrays of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING

from dlexp.data.inference.arrays import ArrayInput
from dlexp.data.inference.images import ImageInput
from dlexp.data.inference.items import ARRAYS, InputItems
from dlexp.data.memory.handed_over import PLACE
from dlexp.data.tables.files.opening import STDIN
from dlexp.errors import DataError
from dlexp.workflows.predict.sample_reader import SampleReader

if TYPE_CHECKING:
    from dlexp.workflows.predict.request import Given


class NewImages(SampleReader):
    """Image files, .npy and .npz files, and arrays in memory."""

    @property
    def suffixes(self) -> None:
        """Those of images."""
        return None

    def read(self, paths: Iterable[str]) -> Iterator[InputItems]:
        """The images of files. Raises DataError for standard input."""
        spec, found = self.stored.experiment.bundle.spec, self.stored.preprocessing
        for is_array, some in groupby(paths, _is_array):
            if not is_array:
                yield from ImageInput.of(spec, found).read(some)
                continue
            for path in some:
                yield from ArrayInput.of(spec, found).read(path)

    def read_given(self, given: Given) -> Iterator[InputItems]:
        """The images of an array. Raises DataError for a DataFrame."""
        if not isinstance(given, Mapping):
            rule = "this run was trained on images, got a DataFrame"
            raise DataError(rule, file=PLACE, remedy="Pass an array or files of images.", code="incompatible-data")
        spec, found = self.stored.experiment.bundle.spec, self.stored.preprocessing
        yield from ArrayInput.of(spec, found).read_arrays(str(PLACE), given)


def _is_array(path: str) -> bool:
    if path == STDIN:
        raise DataError(
            "standard input is not supported for images",
            file=path,
            remedy="Pass file names with --files-from -",
            code="not-supported",
        )
    return path.lower().endswith(ARRAYS)
