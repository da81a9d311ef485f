"""A folder of image files: each class a folder, kept in memory as uint8 where it fits and streamed where it does not.

Symbols: N files, C channels, S height and width of the images that come out.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.data.bundle import SPLITS, DataBundle, Split
from dlexp.data.decode import Failure, ImageFiles, shown, unreadable
from dlexp.data.listing import Listing, Look, list_images, look
from dlexp.data.pixels import WHITE, Moments, moments
from dlexp.data.split import Rows, held_out, split_rows
from dlexp.data.stream import Stream, StreamedSplit
from dlexp.errors import DataError
from dlexp.runtime.room import available_memory
from dlexp.types import DataSpec

__all__ = ["image_folder"]

_SHARE = 0.5  # of the memory that is free: what decoded images may take
_MEASURED = 2000  # training images whose mean and deviation stand for all; both are then known to about 1 %
_PIECE = 64  # files that a thread takes at a time
_NAMED = 5  # files that a note names

T = TypeVar("T")
U = TypeVar("U")


def image_folder(
    *,
    path: str,
    image_size: int = 64,
    resize: str = "crop",
    channels: int | str = "auto",
    on_bad: str = "fail",
    in_memory: bool | str = "auto",
    workers: int | str = "auto",
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[str | Mapping[str, Any]] = "none",
    pad: int = 4,
) -> DataBundle:
    """The images below `path`, inputs (C, S, S) uint8, one class for each folder.

    Folders train, val and test with the classes in each are taken as the splits; a missing val or test is held out of
    train. The first look reads headers and both ends of every file; whoever wants damage in the middle of a file to
    be found before training asks for data.on_bad=skip or data.in_memory=true, which decode all of them.
    Raises DataError for what cannot be trained on, ValueError for a number of channels other than 1 and 3.
    """
    if channels not in ("auto", 1, 3):
        raise ValueError(f"channels={channels}: images of files have 1 channel or 3; or auto")
    root = Path(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of odd metadata and of very large images; both can be read
        listing, looks, notes = _whole_files(root, list_images(root), on_bad)
    count = int(channels) if channels != "auto" else 1 if all(found.is_grey for found in looks) else 3
    reader = ImageFiles(root, listing.names, count, image_size, resize)
    rows = _rows(root, listing, val_fraction, test_fraction, split_seed)
    size, free = sum(map(len, rows)) * count * image_size**2, available_memory()
    if in_memory == "auto" and size > _SHARE * free:
        notes.append(
            f"{len(listing.names):,} images would take {size / 2**30:.1f} GiB, more than half of the "
            f"{free / 2**30:.1f} GiB of memory free: they are read while they are used (data.in_memory=true keeps them)"
        )
    keeps = size <= _SHARE * free if in_memory == "auto" else bool(in_memory)
    splits = _kept(reader, listing.labels, rows) if keeps else _streamed(reader, listing.labels, rows, workers)
    measured = rows[0][np.linspace(0, len(rows[0]) - 1, min(_MEASURED, len(rows[0]))).round().astype(np.int64)]
    found = _measured(reader, measured)
    return DataBundle(
        spec=DataSpec("image", "class", reader.shape, len(listing.classes), class_names=listing.classes),
        splits=splits,
        normalize=found.normalization(image_size, image_size),
        fingerprint=_fingerprint(listing, looks),
        preprocessing={
            "kind": "image",
            "white": WHITE,
            "size": image_size,
            "resize": resize,
            "channels": count,
            "mean": list(found.mean),
            "std": list(found.std),
            "measured_on": len(measured),
        },
        augment=augment,
        pad=pad,
        notes=tuple(notes),
    )


def _whole_files(root: Path, listing: Listing, on_bad: str) -> tuple[Listing, list[Look], list[str]]:
    """The files that can be read, a look at each, and what was left out. Raises DataError when none may be."""
    looks = list(_in_threads(lambda name: look(root, bytes(name)), listing.names))
    failures = [(os.fsdecode(name), seen.problem) for name, seen in zip(listing.names, looks, strict=True)]
    failures = [failure for failure in failures if failure[1]]
    unsure = [n for n, seen in enumerate(looks) if not seen.problem and (on_bad == "skip" or not seen.is_whole)]
    trial = ImageFiles(root, listing.names, 3, 8, "stretch")
    for _, damaged in _in_threads(trial.attempt, _pieces(np.array(unsure, dtype=np.int64))):
        failures += damaged
    notes = []
    if listing.others:
        notes.append(_left_out("that have no suffix of an image", listing.others))
    if failures and on_bad == "fail":
        raise unreadable(root, sorted(failures))
    if failures:
        bad = {os.fsencode(name) for name, _ in failures}
        kept = np.array([n for n, name in enumerate(listing.names) if bytes(name) not in bad], dtype=np.int64)
        listing, looks = listing.only(kept), [looks[n] for n in kept]
        texts = [f"{name} ({why})" for name, why in sorted(failures)]
        notes.append(_left_out("that cannot be read as images", texts))
    return listing, looks, notes


def _rows(root: Path, listing: Listing, val_fraction: float, test_fraction: float, seed: int) -> tuple[Rows, ...]:
    """Row numbers of train, val and test: as the folders say, or divided here."""
    labels, classes = listing.labels, listing.classes
    try:
        if not (listing.splits != "").any():
            return split_rows(labels, classes, val_fraction, test_fraction, seed)
        rows = {name: np.flatnonzero(listing.splits == name).astype(np.int64) for name in SPLITS}
        for name, share in (("val", val_fraction), ("test", test_fraction)):
            if name not in listing.splits:
                rows["train"], rows[name] = held_out(rows["train"], labels, classes, share, seed)
    except DataError as error:
        raise DataError(str(error), file=root) from error
    return rows["train"], rows["val"], rows["test"]


def _kept(reader: ImageFiles, labels: NDArray[np.int64], rows: tuple[Rows, ...]) -> dict[str, Split]:
    """The splits in memory, decoded straight into their places. Raises DataError with every damaged file."""
    splits, failures = {}, list[Failure]()
    for name, part in zip(SPLITS, rows, strict=True):
        inputs = torch.empty((len(part), *reader.shape), dtype=torch.uint8).to(memory_format=torch.channels_last)
        start = 0
        for images, damaged in _in_threads(reader.attempt, _pieces(part)):
            inputs[start : start + len(images)] = images
            start += len(images)
            failures += damaged
        splits[name] = Split(inputs, torch.from_numpy(labels[part]), torch.from_numpy(part))
    if failures:
        raise unreadable(reader.root, sorted(failures))
    return splits


def _streamed(
    reader: ImageFiles, labels: NDArray[np.int64], rows: tuple[Rows, ...], workers: int | str
) -> dict[str, Split]:
    stream = Stream(reader, None if workers == "auto" else int(workers))
    return {
        name: StreamedSplit.of(stream, reader.shape, torch.from_numpy(labels[part]), part)
        for name, part in zip(SPLITS, rows, strict=True)
    }


def _measured(reader: ImageFiles, rows: Rows) -> Moments:
    """The same whether the images are kept or streamed, so that both give the same bits."""
    return moments(_in_threads(reader.read, _pieces(rows)))


def _fingerprint(listing: Listing, looks: list[Look]) -> str:
    """SHA-256 over the names, the sizes and the contents (of a large file both ends)."""
    digest = hashlib.sha256()
    for name, seen in zip(listing.names, looks, strict=True):
        digest.update(bytes(name) + b"\0" + seen.digest)
    return digest.hexdigest()


def _left_out(what: str, names: Iterable[str]) -> str:
    names = list(names)
    more = ", ..." if len(names) > _NAMED else ""
    files = "file" if len(names) == 1 else "files"
    return f"{len(names):,} {files} {what} left out: {', '.join(map(shown, names[:_NAMED]))}{more}"


def _pieces(rows: Rows) -> list[Rows]:
    return [rows[start : start + _PIECE] for start in range(0, len(rows), _PIECE)]


def _in_threads(work: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
    """`work` of each item, in their order, by as many threads as there are cores; decoders let others run."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        waiting: deque[Future[U]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 4 * cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
