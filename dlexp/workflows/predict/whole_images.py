"""Images in, images out: files read in their own size, and what the network makes of each written as PNG.

Symbols: B images, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from dlexp.artifacts.files.writing import write_bytes
from dlexp.data.images.decoding import printable_name
from dlexp.data.images.encoding import png_of
from dlexp.data.inference.items import InputItems
from dlexp.data.sources.photos.reading import read_photo
from dlexp.errors import ConfigError, DataError, with_remedy
from dlexp.metrics.reports.prediction_columns import PredictionColumns
from dlexp.tasks.generative.images import ImageTask
from dlexp.types import Prediction
from dlexp.workflows.predict.request import PredictRequest
from dlexp.workflows.predict.sample_reader import SampleReader
from dlexp.workflows.run_record.restore import RestoredRun

COLUMN = "image"
_UNUSUAL = re.compile(r"[^\w.-]+")


class WholeImages(SampleReader):
    """Image files, each in its own size: the network consists of convolutions."""

    @property
    def suffixes(self) -> None:
        """Those of images."""
        return None

    def read(self, paths: Iterable[str]) -> Iterator[InputItems]:
        """The images of files, one at a time; one that cannot be read is an item with a problem."""
        shape = self.stored.experiment.bundle.spec.inputs.shape
        for path in paths:
            try:
                image, problem = read_photo(Path(path), shape[0])[None], ""
            except DataError as error:
                image, problem = torch.empty((0, *shape), dtype=torch.uint8), with_remedy(error.rule, error.remedy)
            yield InputItems({"input": [printable_name(path)]}, [problem], image)


class WrittenImages:
    """Writes what the network makes of each image to a folder.

    Args:
        folder: Of the files.
        force: Whether files that are there are replaced.
    """

    def __init__(self, folder: Path, force: bool) -> None:
        self._folder, self._force = folder, force
        self._taken: set[str] = set()

    def column(self, group: InputItems, prediction: Prediction) -> PredictionColumns:
        """The file of each image, named as its input. Raises ConfigError for one that is there already."""
        given = group.names["input"]
        names = [name for name, problem in zip(given, group.problems, strict=True) if not problem]
        paths = [self._path(str(name)) for name in names]
        for path, image in zip(paths, prediction.outputs.float().cpu().numpy(), strict=True):
            write_bytes(path, png_of(image))
        return PredictionColumns({COLUMN: [str(path) for path in paths]})

    def _path(self, given: str) -> Path:
        stem = _UNUSUAL.sub("_", Path(given).stem) or COLUMN
        name, number = stem, 1
        while name in self._taken:
            name, number = f"{stem}_{number + 1}", number + 1
        self._taken.add(name)
        path = self._folder / f"{name}.png"
        if path.exists() and not self._force:
            remedy = "Add --force to overwrite it, or use another folder."
            raise ConfigError.one("--images", path, "already exists", remedy, code="already-exists")
        return path


def written_images(runs: Sequence[RestoredRun], request: PredictRequest) -> WrittenImages | None:
    """Where images are written; None for a run that puts out none.

    Raises ConfigError for images without a folder, for a folder without images, and for a run that made one picture.
    """
    experiment = runs[0].experiment
    if not isinstance(experiment.task, ImageTask):
        if request.images is None:
            return None
        rule = f"has no effect: a run of task={experiment.config.task.option} puts out no images"
        raise ConfigError.one("--images", request.images, rule, "Remove it.", code="no-effect")
    if not experiment.task.takes_new_images:
        rule = f"has made its picture, {runs[0].run / 'picture.png'}, and makes no other"
        remedy = "Train again with data.content=FILE"
        raise ConfigError.one(str(runs[0].run.path), "", rule, remedy, code="not-supported")
    if request.images is None:
        rule = "is required: this run puts out images, which are written as PNG"
        raise ConfigError.one("--images", "", rule, "Add --images FOLDER", code="missing-value")
    return WrittenImages(request.images, request.force)


def with_images(columns: PredictionColumns, written: PredictionColumns) -> PredictionColumns:
    """The columns with the files of the images."""
    return replace(columns, columns={**columns.columns, **written.columns})
