"""What a call of `predict` asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlexp.tasks.decoding.options import GenerationOptions

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Given = pd.DataFrame | Mapping[str, NDArray[Any]]


_GREEDY = GenerationOptions()


@dataclass(frozen=True)
class PredictRequest:
    """The samples to predict and the columns of the output.

    Attributes:
        inputs: Files, directories, patterns; `-` for rows or lines on standard input.
        names: More file names, read as needed; no directories or patterns.
        probabilities: Whether to add a column for every class.
        top: How many of the most probable classes to add.
        ignore_extra: Whether to ignore columns that the training data did not have.
        separator: Of CSV files, as data.separator; None for the one that is detected.
        given: A DataFrame, or arrays by name, that a Python program hands over; None for files.
        texts: Samples that are texts, read before all files.
        generation: How sequences are put out, for runs that put some out.
        images: Folder of the images that a run puts out; None for runs that put out none.
        force: Whether images that are there already are replaced.
        others: Directories of more runs, groups and ensembles whose predictions are averaged with those of the first.
        tta: Views of test-time augmentation, "" for none.
    """

    inputs: Sequence[str]
    names: Iterable[str] = ()
    probabilities: bool = False
    top: int = 0
    ignore_extra: bool = False
    separator: str | None = None
    given: Given | None = None
    texts: Sequence[str] = ()
    generation: GenerationOptions = _GREEDY
    images: Path | None = None
    force: bool = False
    others: Sequence[Path] = ()
    tta: str = ""
