"""The suspected wrong labels of a run, as a table and, for images, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlexp.artifacts.files.writing import write_csv
from dlexp.data.bundle import DataBundle
from dlexp.diagnosis.case import Case
from dlexp.diagnosis.data.label_measures import label_measures
from dlexp.diagnosis.data.labels import SuspectedLabel
from dlexp.diagnosis.verdict import Verdict
from dlexp.specs import ClassSpec
from dlexp.workflows.image_samples import has_pictures, images_of
from dlexp.workflows.pictures import Pictures

TABLE, PICTURE = "suspected_labels.csv", "suspected_labels.png"
_HEADER = ("row", "split", "name", "given", "likelier", "confidence")
_MOST_IMAGES, _MOST_LISTED = 25, 100


def list_suspects(folder: Path, case: Case, findings: Sequence[Verdict]) -> Mapping[str, Any]:
    """Write the suspected labels of a run where label_noise was found; returns what doctor.json says of them.

    The key `suspected_labels` has their number, the files, and the surest hundred.
    """
    is_noisy = any(one.code == "label_noise" for one in findings)
    found = label_measures(case.bundle, case.facts.seed) if is_noisy else None
    suspects = found.contradictions.suspects if found is not None and found.contradictions is not None else ()
    pictures = Pictures()
    files = write_suspects(folder, case.bundle, suspects, pictures)
    if not suspects:
        return {}
    rows = [dict(zip(_HEADER, row, strict=True)) for row in _rows(case.bundle, suspects[:_MOST_LISTED])]
    return {"suspected_labels": {"count": len(suspects), "files": files, "surest": rows, **pictures.facts()}}


def write_suspects(
    folder: Path, bundle: DataBundle, suspects: Sequence[SuspectedLabel], pictures: Pictures
) -> list[str]:
    """Write suspected_labels.csv, the surest first, and suspected_labels.png of images; returns the names of the files.

    A table of an earlier examination is replaced; without suspects it is removed.

    Args:
        folder: The directory of the run.
        bundle: Its data.
        suspects: The labels that are probably wrong.
        pictures: Remembers what could not be drawn.
    """
    if not suspects:
        for name in (TABLE, PICTURE):
            (folder / name).unlink(missing_ok=True)
        return []
    write_csv(folder / TABLE, _HEADER, _rows(bundle, suspects))
    if has_pictures(bundle) and pictures.write(folder / PICTURE, lambda: _drawn(bundle, suspects[:_MOST_IMAGES])):
        return [TABLE, PICTURE]
    (folder / PICTURE).unlink(missing_ok=True)
    return [TABLE]


def _rows(bundle: DataBundle, suspects: Sequence[SuspectedLabel]) -> list[list[Any]]:
    classes = _classes(bundle)
    numbers = np.array([one.index for one in suspects], dtype=np.int64)
    names = bundle.named(numbers) if bundle.named else [""] * len(numbers)
    return [
        [one.index, one.split, name, classes[one.given], classes[one.likelier], round(one.confidence, 4)]
        for one, name in zip(suspects, names, strict=True)
    ]


def _drawn(bundle: DataBundle, suspects: Sequence[SuspectedLabel]) -> bytes:
    from dlexp.report.figures.evaluation import suspected_labels_png  # matplotlib loads when it draws

    classes = _classes(bundle)
    images = []
    for one in suspects:
        place = int((bundle.splits[one.split].indices == one.index).nonzero()[0])
        images.append(images_of(bundle, one.split, [place])[0])
    captions = [(classes[one.given], classes[one.likelier], f"{one.split} {one.index}") for one in suspects]
    return suspected_labels_png(np.stack(images), captions)


def _classes(bundle: DataBundle) -> Sequence[str]:
    assert isinstance(bundle.spec.targets, ClassSpec)
    return bundle.spec.targets.names
