"""The data source `huggingface`: images of a folder written by save_to_disk, or of a data set on the Hub.

Symbols: N samples, B samples of a piece, C channels, S height and width after resizing.
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
from dlexp.data.images.decoding import AllOrNone, Failure, decoded, fitted, is_gray, list_lines, reason
from dlexp.data.images.image_set import ImageFormat, ImageSet
from dlexp.data.images.placement import Placement, some_of
from dlexp.data.paths import did_you_mean
from dlexp.data.sources.hub_labels import labels_by_name
from dlexp.data.split_names import parts_of, standard_split
from dlexp.data.splits.division import Division, SplitBy, divide
from dlexp.data.splits.sample_keys import keys_of_samples
from dlexp.data.splitting import Rows, Shares, rows_of_parts
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
    group: str | None = None,
    time: str | None = None,
    split_column: str | None = None,
) -> DataBundle:
    """Load the images of a data set and their classes, inputs (C, S, S) uint8.

    name         a data set on the Hub, read only from the cache unless `download`
    config_name  its configuration, if it has several
    folder       a folder written by save_to_disk, instead of a name
    channels     1, 3, or auto: 1 if a sample of at most 2,000 images is gray
    The parts train, validation and test are the splits; a missing one is held out from train.
    Raises DataError for missing or invalid data, ConfigError if `datasets` is not installed or not exactly one of name
    and folder is given, ValueError as `ImageFormat` does.
    """
    form = ImageFormat(channels, image_size, resize, resize_to)
    where = name or str(folder)
    parts, notes = _parts(_opened(name, config_name, folder, download), where)
    first = parts[next(iter(parts))]
    image, label = _column(first, "Image", image_column, where), _column(first, "ClassLabel", label_column, where)
    for part, found in parts.items():
        _column(found, "Image", image, f"{where}, part {part}" if part else where)
    tables = {part: found.with_format("arrow") for part, found in parts.items()}
    labels, classes, unlabeled = labels_by_name(parts, label, where)
    for part in unlabeled:
        del tables[part]
        notes.append(f"part {part} was dropped: none of its samples has a label")
    by, kept = SplitBy(group, time, split_column), {part: parts[part] for part in tables}
    division = _division(kept, by, where, ((val_fraction, test_fraction, split_seed), labels, classes))
    sampled = some_of(np.arange(len(labels), dtype=np.int64))
    reader = HubImages(tuple(tables.values()), image, 3, form.stored, resize, where)
    if channels == 1 or (channels == "auto" and all(map(reader.is_gray, sampled))):
        reader = replace(reader, channels=1)
    mark = _fingerprint(reader, labels, sampled)
    notes += division.notes
    found = ImageSet(reader, labels, classes, division.rows, mark, form.preprocessing(), tuple(notes), image_size)
    bundle = found.bundle(Placement(in_memory, workers), (mean, std), (augment, pad))
    divides = {name: by.reason(key) for key, name in by.keys.items()}
    omitted = {name: divides.get(name, "is not used") for name in first.features if name not in (image, label)}
    return replace(bundle, target=label, omitted=omitted, groups=division.groups)


def _division(
    parts: Mapping[str, Any],
    by: SplitBy,
    where: str,
    what: tuple[Shares, NDArray[np.int64], tuple[str, ...]],
) -> Division:
    """The division of the samples.

    what  shares and seed, class numbers, and names of the classes
    """
    sizes = {part: len(found) for part, found in parts.items()}
    try:
        if not by.keys:
            return Division(rows_of_parts(sizes, *what))
        values = {}
        for key, name in by.keys.items():
            lacking = [part for part, found in parts.items() if name not in found.features]
            if lacking:
                rule = f"not found (data.{key})" + (f" in part {lacking[0]}" if lacking[0] else "")
                remedy = f"Available: {', '.join(parts[lacking[0]].features)}"
                raise DataError(rule, column=name, remedy=remedy, code="not-found")
            values[key] = np.concatenate([_array(found[name]) for found in parts.values()])
        given = np.repeat(list(sizes), list(sizes.values())) if "train" in sizes else None
        return divide(sum(sizes.values()), *what, keys_of_samples(by, values, given))
    except DataError as error:
        raise DataError(error.rule, file=where, column=error.column, remedy=error.remedy, code=error.code) from error


def _array(column: Any) -> NDArray[Any]:
    """(N,) the values of a column, as numbers where all are."""
    values = np.array(list(column))
    return values if values.dtype.kind in "biufM" else np.array(list(column), dtype=object)


@dataclass(frozen=True)
class HubImages(AllOrNone):
    """The images of a column of consecutive parts, addressed by number.

    tables  the parts, which return rows as Arrow tables with images {bytes, path}
    where   the name of the data set, for error messages
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
        """The type of the images that are read."""
        return torch.uint8

    def contents(self, rows: NDArray[np.int64]) -> Iterator[bytes]:
        """The bytes of the image files `rows`, in order; b"" for a missing one."""
        found: dict[int, bytes] = {}
        start = 0
        for table in self.tables:
            mine = rows[(rows >= start) & (rows < start + len(table))]
            if len(mine):
                cells = table[(mine - start).tolist()].column(self.column).to_pylist()
                found |= {int(row): _content(cell) for row, cell in zip(mine, cells, strict=True)}
            start += len(table)
        return (found[int(row)] for row in rows)

    def is_gray(self, row: int) -> bool:
        """Return whether image `row` has no colors; True for an unreadable one."""
        from PIL import Image

        try:
            with Image.open(BytesIO(next(self.contents(np.array([row]))))) as image:
                return is_gray(image.mode)
        except Exception:  # reported when it is read
            return True

    def attempt(self, rows: NDArray[np.int64]) -> tuple[Tensor, list[Failure]]:
        """The readable images of `rows`, (at most B, C, S, S), and the failures of the others."""
        images, failures = [], []
        for row, content in zip(rows, self.contents(rows), strict=True):
            try:
                images.append(fitted(decoded(bytearray(content), self.channels), self.size, self.resize))
            except Exception as error:  # decoders raise many types for damaged files
                failures.append((f"{row:>12}", reason(error) if content else "is empty"))
        if not images:
            return torch.empty((0, *self.shape), dtype=torch.uint8), failures
        return torch.stack(images).permute(0, 3, 1, 2), failures

    def refusal(self, failures: Sequence[Failure]) -> DataError:
        """The error for unreadable images."""
        lines = list_lines([f"sample {number.strip()}: {why}" for number, why in failures])
        return DataError(f"{len(failures)} images cannot be read{lines}\n", file=self.where)


def _content(cell: Mapping[str, Any] | None) -> bytes:
    """The bytes of an image in the table or in a file; b"" for a missing one."""
    if cell is None:
        return b""
    if cell["bytes"] is not None:
        return bytes(cell["bytes"])
    try:
        return Path(cell["path"]).read_bytes() if cell["path"] else b""
    except OSError:
        return b""


def _opened(name: str | None, config_name: str | None, folder: str | None, download: bool) -> Any:
    """Open a Dataset or DatasetDict. Raises DataError if it is not found."""
    try:
        import datasets
    except ImportError as error:
        rule = "requires the package datasets"
        remedy = "Install it: pip install 'dlexp[huggingface]'"
        raise ConfigError.one("data", "huggingface", rule, remedy, code="missing-package") from error
    if (name is None) == (folder is None):
        rule = "requires either data.name (a name on the Hub) or data.folder (written by save_to_disk), not both"
        raise ConfigError.one("data.name", name, rule, code="missing-value" if name is None else "cannot-combine")
    if folder is not None and not Path(folder).is_dir():
        raise DataError("folder not found", file=folder, remedy=did_you_mean(Path(folder)), code="not-found")
    try:
        if folder is not None:
            return datasets.load_from_disk(folder)
        with _network(download):
            return datasets.load_dataset(name, config_name)
    except Exception as error:  # from the Hub client, Arrow or the file system
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        if folder is not None:
            remedy = "Write it with save_to_disk of datasets."
        elif download:
            remedy = "Check the network connection and the name."
        else:
            remedy = "To download it, set data.download=true"
        code: Code = "invalid-data" if folder is not None else "not-found"
        raise DataError(f"cannot be opened: {text}", file=name or folder, remedy=remedy, code=code) from error


@contextmanager
def _network(allowed: bool) -> Iterator[None]:
    """Restrict the Hub client to the cache during the body, unless network access is allowed."""
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
    """(train, val and test, if present, or "" for all samples; messages about dropped parts)."""
    if not isinstance(found, dict):
        return {"": found}, []
    names = parts_of([name for name, part in found.items() if len(part)], where)
    if "train" not in names:
        rule = f"part train not found; available: {', '.join(found) or 'none'}"
        raise DataError(rule, file=where, remedy="Rename its training part to train.", code="not-found")
    others = [name for name in found if not standard_split(name)]
    notes = [f"parts not used: {', '.join(others)}"] if others else []
    return {split: found[names[split]] for split in SPLITS if split in names}, notes


def _column(part: Any, kind: str, given: str, where: str) -> str:
    """The column `given`, or the only one of the feature type `kind`. Raises DataError."""
    key = "data.image_column" if kind == "Image" else "data.label_column"
    of_kind = [name for name, feature in part.features.items() if type(feature).__name__ == kind]
    if given == "auto" and len(of_kind) != 1:
        rule = f"has {len(of_kind)} columns of type {kind} among {', '.join(part.features)}"
        raise DataError(rule, file=where, remedy=f"Set {key}.", code="missing-value")
    name = of_kind[0] if given == "auto" else given
    if name not in part.features or (kind == "Image" and name not in of_kind):
        rule = f"column {name!r}" + (" of images" if kind == "Image" else "") + f" ({key}) not found"
        raise DataError(rule, file=where, remedy=f"Available: {', '.join(part.features)}", code="not-found")
    return name


def _fingerprint(reader: HubImages, labels: NDArray[np.int64], sampled: Rows) -> str:
    """SHA-256 over all labels and up to 2,000 images."""
    found = hashlib.sha256(labels.tobytes())
    for start in range(0, len(sampled), 64):
        for content in reader.contents(sampled[start : start + 64]):
            found.update(len(content).to_bytes(8, "little") + content)
    return found.hexdigest()
