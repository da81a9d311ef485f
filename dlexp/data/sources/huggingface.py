"""Images of Hugging Face `datasets`: a folder that save_to_disk has written, or a name on the Hub; an extra.

Symbols: N samples, B samples of a piece, C channels, S height and width of the images that come out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlexp.data.bundle import SPLITS, DataBundle
from dlexp.data.images.decoding import AllOrNone, Failure, decoded, fitted, is_grey, listed, reason
from dlexp.data.images.image_set import Form, ImageSet
from dlexp.data.images.placement import Placing, some_of
from dlexp.data.paths import near
from dlexp.data.sources.hub_labels import labels_by_name
from dlexp.data.split_names import parts_of, split_of
from dlexp.data.splitting import Rows, rows_of_parts
from dlexp.errors import Code, ConfigError, DataError

__all__ = ["huggingface"]


def huggingface(
    *,
    name: str | None = None,
    config_name: str | None = None,
    folder: str | None = None,
    download: bool = False,
    image_column: str = "auto",
    label_column: str = "auto",
    image_size: int = 64,
    resize: str = "crop",
    resize_to: int | None = None,
    channels: int | str = "auto",
    in_memory: bool | str = "auto",
    workers: int | str = "auto",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[Any] = "none",
    pad: int = 4,
) -> DataBundle:
    """The images of a data set and their classes, inputs (C, S, S) uint8.

    name      of a data set on the Hub, from the cache alone unless `download`; config_name where it has several
    folder    one that save_to_disk has written, in place of a name
    channels  1, 3, or auto: 1 where the images looked at (2,000 at most) are grey
    Its parts train, validation and test are the splits; a missing one is held out of train.
    Raises DataError for what is not there or cannot be trained on, ConfigError where `datasets` is missing or neither
    or both of name and folder are given, ValueError for what `Form` refuses.
    """
    form = Form(channels, image_size, resize, resize_to)
    where = name or str(folder)
    parts, notes = _parts(_opened(name, config_name, folder, download), where)
    first = parts[next(iter(parts))]
    image, label = _column(first, "Image", image_column, where), _column(first, "ClassLabel", label_column, where)
    for part, found in parts.items():
        _column(found, "Image", image, f"{where}, part {part}" if part else where)
    tables = {part: found.with_format("arrow") for part, found in parts.items()}
    labels, classes, unlabelled = labels_by_name(parts, label, where)
    for part in unlabelled:
        del tables[part]
        notes.append(f"{part} was left out: none of its samples has a label")
    sizes, how = {part: len(table) for part, table in tables.items()}, (val_fraction, test_fraction, split_seed)
    try:
        rows = rows_of_parts(sizes, how, labels, classes)
    except DataError as error:
        raise DataError(str(error), file=where, code=error.code) from error
    looked = some_of(np.arange(len(labels), dtype=np.int64))
    reader = HubImages(tuple(tables.values()), image, 3, form.stored, resize, where)
    if channels == 1 or (channels == "auto" and all(map(reader.is_grey, looked))):
        reader = replace(reader, channels=1)
    mark = _fingerprint(reader, labels, looked)
    found = ImageSet(reader, labels, classes, rows, mark, form.preprocessing(), tuple(notes), image_size)
    bundle = found.bundle(Placing(in_memory, workers), (mean, std), (augment, pad))
    others = [column for column in first.features if column not in (image, label)]
    return replace(bundle, target=label, omitted=dict.fromkeys(others, "is a column that no setting names"))


@dataclass(frozen=True)
class HubImages(AllOrNone):
    """The images of a column, by number through the parts one after the other.

    tables  the parts, each gives rows as Arrow tables, whose images are {bytes, path}
    where   what the data set is called, for errors
    """

    tables: tuple[Any, ...]
    column: str
    channels: int
    size: int
    resize: str
    where: str

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, S, S)."""
        return self.channels, self.size, self.size

    @property
    def dtype(self) -> torch.dtype:
        """Of the images."""
        return torch.uint8

    def contents(self, rows: NDArray[np.int64]) -> Iterator[bytes]:
        """The bytes of the image files `rows`, in their order; b"" for one that is missing."""
        found: dict[int, bytes] = {}
        start = 0
        for table in self.tables:
            mine = rows[(rows >= start) & (rows < start + len(table))]
            if len(mine):
                cells = table[(mine - start).tolist()].column(self.column).to_pylist()
                found |= {int(row): _content(cell) for row, cell in zip(mine, cells, strict=True)}
            start += len(table)
        return (found[int(row)] for row in rows)

    def is_grey(self, row: int) -> bool:
        """Whether image `row` has no colours; one that cannot be read has none."""
        from PIL import Image

        try:
            with Image.open(BytesIO(next(self.contents(np.array([row]))))) as image:
                return is_grey(image.mode)
        except Exception:  # told where it is read, with its name
            return True

    def attempt(self, rows: NDArray[np.int64]) -> tuple[Tensor, list[Failure]]:
        """The images of `rows` that can be read, (at most B, C, S, S), and those that cannot."""
        images, failures = [], []
        for row, content in zip(rows, self.contents(rows), strict=True):
            try:
                images.append(fitted(decoded(bytearray(content), self.channels), self.size, self.resize))
            except Exception as error:  # decoders raise all kinds for damaged files
                failures.append((f"{row:>12}", reason(error) if content else "is empty"))
        if not images:
            return torch.empty((0, *self.shape), dtype=torch.uint8), failures
        return torch.stack(images).permute(0, 3, 1, 2), failures

    def refusal(self, failures: Sequence[Failure]) -> DataError:
        """The error for images that cannot be read."""
        lines = listed([f"sample {number.strip()}: {why}" for number, why in failures])
        return DataError(f"{len(failures)} images cannot be read{lines}\n", file=self.where)


def _content(cell: Mapping[str, Any] | None) -> bytes:
    """Of an image that lies in the table or in a file beside it."""
    if cell is None:
        return b""
    if cell["bytes"] is not None:
        return bytes(cell["bytes"])
    try:
        return Path(cell["path"]).read_bytes() if cell["path"] else b""
    except OSError:
        return b""


def _opened(name: str | None, config_name: str | None, folder: str | None, download: bool) -> Any:
    """A Dataset, or a DatasetDict. Raises DataError for what is not there."""
    try:
        import datasets
    except ImportError as error:
        rule = "needs the package datasets"
        remedy = "pip install 'dlexp[huggingface]'"
        raise ConfigError.one("data", "huggingface", rule, remedy, code="missing-package") from error
    if (name is None) == (folder is None):
        rule = "give one of the two: a name on the Hub, or the folder that save_to_disk has written (data.folder)"
        raise ConfigError.one("data.name", name, rule, code="missing-value" if name is None else "cannot-combine")
    if folder is not None and not Path(folder).is_dir():
        raise DataError("there is no such folder", file=folder, remedy=near(Path(folder)), code="not-found")
    try:
        if folder is not None:
            return datasets.load_from_disk(folder)
        with _network(download):
            return datasets.load_dataset(name, config_name)
    except Exception as error:  # of the Hub's client, of Arrow, of the file system
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        if folder is not None:
            remedy = "write it with datasets' save_to_disk"
        elif download:
            remedy = "is the network there, and the name right?"
        else:
            remedy = "set data.download=true to fetch it"
        code: Code = "invalid-data" if folder is not None else "not-found"
        raise DataError(f"cannot be opened: {text}", file=name or folder, remedy=remedy, code=code) from error


@contextmanager
def _network(allowed: bool) -> Iterator[None]:
    """What is not in the cache is asked for on the network only where that is allowed."""
    import datasets
    import huggingface_hub

    before = datasets.config.HF_HUB_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE
    if not allowed:
        datasets.config.HF_HUB_OFFLINE = huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE = before


def _parts(found: Any, where: str) -> tuple[dict[str, Any], list[str]]:
    """(train, val and test as far as they are there, or "" for all samples; what was left out)."""
    if not isinstance(found, dict):
        return {"": found}, []
    names = parts_of([name for name, part in found.items() if len(part)], where)
    if "train" not in names:
        rule = f"has no part train, but {', '.join(found) or 'none'}"
        raise DataError(rule, file=where, remedy="name its training part train", code="not-found")
    others = [name for name in found if not split_of(name)]
    notes = [f"the parts {', '.join(others)} are left out"] if others else []
    return {split: found[names[split]] for split in SPLITS if split in names}, notes


def _column(part: Any, kind: str, given: str, where: str) -> str:
    """The column that is named, or the only one of the feature type `kind`. Raises DataError."""
    key = "data.image_column" if kind == "Image" else "data.label_column"
    of_kind = [name for name, feature in part.features.items() if type(feature).__name__ == kind]
    if given == "auto" and len(of_kind) != 1:
        rule = f"has {len(of_kind) or 'no'} columns of type {kind}, and columns {', '.join(part.features)}"
        raise DataError(rule, file=where, remedy=f"set {key}", code="missing-value")
    name = of_kind[0] if given == "auto" else given
    if name not in part.features or (kind == "Image" and name not in of_kind):
        rule = f"has no column {name!r}" + (" of images" if kind == "Image" else "") + f" ({key})"
        raise DataError(rule, file=where, remedy=f"it has {', '.join(part.features)}", code="not-found")
    return name


def _fingerprint(reader: HubImages, labels: NDArray[np.int64], looked: Rows) -> str:
    """SHA-256 over all labels and up to 2,000 images."""
    found = hashlib.sha256(labels.tobytes())
    for start in range(0, len(looked), 64):
        for content in reader.contents(looked[start : start + 64]):
            found.update(len(content).to_bytes(8, "little") + content)
    return found.hexdigest()
