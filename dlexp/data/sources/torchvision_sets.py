"""Published image sets, read by torchvision's own classes: MNIST, Fashion-MNIST, CIFAR-10, CIFAR-100, SVHN.

The official test part is the test split; validation is held out of the official training part, the same share of each
class. What is downloaded is checked and unpacked in a folder of its own first, so that a failure leaves no half file.

Symbols: N samples, C channels, H and W height and width in pixels.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlexp.data.bundle import DataBundle, fingerprint
from dlexp.data.images.array_reader import ArrayImages
from dlexp.data.images.image_set import ImageSet
from dlexp.data.images.placement import Placing
from dlexp.data.splitting import held_out
from dlexp.errors import DataError

__all__ = ["cifar10", "cifar100", "fashion_mnist", "mnist", "svhn"]

Files = list[tuple[str, str | None]]  # names below the root, and the MD5 that each must have, None for any


def mnist(
    *,
    path: str,
    download: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    val_fraction: float = 0.1,
    split_seed: int = 0,
    augment: str | Sequence[Any] = "none",
    pad: int = 2,
) -> DataBundle:
    """70,000 handwritten digits, inputs (1, 28, 28) uint8, ten classes (LeCun et al. 1998).

    path       the folder that holds MNIST/raw
    download   fetch what is missing
    mean, std  of each channel as shares of white; None to measure them on the training images
    Raises DataError for files that are missing, damaged or cannot be fetched.
    """
    return _bundle(_mnist("MNIST"), (path, download), (mean, std), (val_fraction, split_seed), (augment, pad))


def fashion_mnist(
    *,
    path: str,
    download: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    val_fraction: float = 0.1,
    split_seed: int = 0,
    augment: str | Sequence[Any] = "none",
    pad: int = 2,
) -> DataBundle:
    """70,000 pieces of clothing, inputs (1, 28, 28) uint8, ten classes (Xiao, Rasul and Vollgraf 2017); see `mnist`."""
    return _bundle(_mnist("FashionMNIST"), (path, download), (mean, std), (val_fraction, split_seed), (augment, pad))


def cifar10(
    *,
    path: str,
    download: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    val_fraction: float = 0.1,
    split_seed: int = 0,
    augment: str | Sequence[Any] = "none",
    pad: int = 4,
) -> DataBundle:
    """60,000 small photographs, inputs (3, 32, 32) uint8, ten classes (Krizhevsky 2009); see `mnist`.

    torchvision unpickles the files, after their MD5 has shown that they are the official ones.
    """
    return _bundle(_cifar("CIFAR10"), (path, download), (mean, std), (val_fraction, split_seed), (augment, pad))


def cifar100(
    *,
    path: str,
    download: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    val_fraction: float = 0.1,
    split_seed: int = 0,
    augment: str | Sequence[Any] = "none",
    pad: int = 4,
) -> DataBundle:
    """60,000 small photographs, inputs (3, 32, 32) uint8, a hundred classes (Krizhevsky 2009); see `cifar10`."""
    return _bundle(_cifar("CIFAR100"), (path, download), (mean, std), (val_fraction, split_seed), (augment, pad))


def svhn(
    *,
    path: str,
    download: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    val_fraction: float = 0.1,
    split_seed: int = 0,
    augment: str | Sequence[Any] = "none",
    pad: int = 4,
) -> DataBundle:
    """99,289 house numbers, inputs (3, 32, 32) uint8, ten classes (Netzer et al. 2011); see `mnist`."""
    return _bundle(_svhn(), (path, download), (mean, std), (val_fraction, split_seed), (augment, pad))


@dataclass(frozen=True)
class _Part:
    """The training or the test part: images (N, C, H, W), class numbers (N,), names of the classes."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class _Published:
    """What is known of a set.

    files     what is read, below the root
    archives  what is downloaded; may be the files themselves
    shape     (C, H, W)
    mirrors   whether a mirrored image is still one of its class
    read      (root, whether the training part, whether to unpack and download) -> the part
    """

    title: str
    files: Files
    archives: Files
    shape: tuple[int, int, int]
    read: Callable[[Path, bool, bool], _Part]
    mirrors: bool = True


def _mnist(name: str) -> _Published:
    from torchvision import datasets

    kind: Any = getattr(datasets, name)

    def read(root: Path, train: bool, download: bool) -> _Part:
        found = kind(str(root), train=train, download=download)
        classes = tuple(text.partition(" - ")[0] for text in found.classes)
        return _Part(found.data.numpy()[:, None], found.targets.numpy().astype(np.int64), classes)

    raw = f"{name}/raw/"
    files: Files = [(raw + archive.removesuffix(".gz"), None) for archive, _ in kind.resources]
    return _Published(
        name, files, [(raw + archive, md5) for archive, md5 in kind.resources], (1, 28, 28), read, name != "MNIST"
    )


def _cifar(name: str) -> _Published:
    from torchvision import datasets

    kind: Any = getattr(datasets, name)

    def read(root: Path, train: bool, download: bool) -> _Part:
        found = kind(str(root), train=train, download=download)
        labels = np.array(found.targets, dtype=np.int64)
        return _Part(found.data.transpose(0, 3, 1, 2), labels, tuple(map(str, found.classes)))

    listed = [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]
    files: Files = [(f"{kind.base_folder}/{file}", md5) for file, md5 in listed]
    return _Published(name, files, [(kind.filename, kind.tgz_md5)], (3, 32, 32), read)


def _svhn() -> _Published:
    from torchvision.datasets import SVHN

    def read(root: Path, train: bool, download: bool) -> _Part:
        found = SVHN(str(root), split="train" if train else "test", download=download)
        return _Part(found.data, found.labels, tuple("0123456789"))

    files: Files = [(SVHN.split_list[part][1], SVHN.split_list[part][2]) for part in ("train", "test")]
    return _Published("SVHN", files, files, (3, 32, 32), read, False)


def _bundle(
    known: _Published,
    place: tuple[str, bool],
    given: tuple[Sequence[float] | None, Sequence[float] | None],
    held: tuple[float, int],
    change: tuple[str | Sequence[Any], int],
) -> DataBundle:
    """The bundle of a set.

    place   the root, and whether to download
    given   mean and deviation, or None and None
    held    the share of the training part that is held out for validation, and the seed of that split
    change  augmentation and its largest shift
    """
    root = Path(place[0])
    _provide(known, root, download=place[1])
    learnt, judged = _part(known, root, True), _part(known, root, False)
    labels = np.concatenate([learnt.labels, judged.labels])
    train, val = held_out(np.arange(len(learnt.labels)), labels, learnt.classes, *held)
    test = np.arange(len(learnt.labels), len(labels))
    found = ImageSet(
        ArrayImages((learnt.images, judged.images), file=root),
        labels,
        learnt.classes,
        (train, val, test),
        fingerprint(learnt.images, learnt.labels, judged.images, judged.labels),
        {},
        mirrors=known.mirrors,
    )
    return found.bundle(Placing(in_memory=True), given, change, measure_all=True)


def _part(known: _Published, root: Path, train: bool) -> _Part:
    """The part as it lies below `root`. Raises DataError for files that hold something else."""
    name = "training" if train else "test"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy's, of the age of the pickles
            part = known.read(root, train, False)
    except Exception as error:  # torchvision raises all kinds for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        rule = f"the {name} part of {known.title} cannot be read: {reason}"
        raise DataError(rule, file=root, remedy=_remedy(known, root, "delete it and"), code="corrupted") from error
    count = len(part.labels)
    if part.images.shape != (count, *known.shape) or part.images.dtype != np.uint8 or not count:
        rule = f"the {name} part of {known.title} has {count} labels and images of shape {part.images.shape}"
        raise DataError(rule, file=root, remedy=_remedy(known, root, "delete it and"), code="corrupted")
    if part.labels.min() < 0 or part.labels.max() >= len(part.classes):
        rule = f"the {name} part of {known.title} has labels {part.labels.min()} to {part.labels.max()}"
        raise DataError(f"{rule}, and there are {len(part.classes)} classes", file=root, code="corrupted")
    return part


def _provide(known: _Published, root: Path, download: bool) -> None:
    """See that the files are there, unpacking or downloading them. Raises DataError where they are not."""
    missing = [name for name, _ in known.files if not (root / name).is_file()]
    spoilt = [name for name, md5 in known.files if name not in missing and not _is_whole(root / name, md5)]
    if not missing and not spoilt:
        return
    if download or all(_is_whole(root / name, md5) for name, md5 in known.archives):
        _fetch(known, root)
        return
    if missing:
        rule = f"{known.title} is not there: {', '.join(missing)} missing"
        raise DataError(rule, file=root, remedy=_remedy(known, root, ""), code="not-found")
    rule = f"{', '.join(spoilt)} of {known.title} not as published (another MD5)"
    raise DataError(rule, file=root, remedy=_remedy(known, root, ""), code="corrupted")


def _is_whole(path: Path, md5: str | None) -> bool:
    from torchvision.datasets.utils import check_integrity

    return bool(check_integrity(str(path), md5))


def _remedy(known: _Published, root: Path, first: str) -> str:
    """What to do about files that are not there."""
    archives = ", ".join(str(root / name) for name, _ in known.archives)
    return f"{first} set data.download=true to fetch it, or put the published files here: {archives}".strip()


def _fetch(known: _Published, root: Path) -> None:
    """Unpack the archives that are there and whole, and download the others; nothing is moved before all are."""
    existing = next(place for place in (root, *root.parents) if place.exists())
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as folder:
            new = Path(folder)
            for name, md5 in known.archives:
                if _is_whole(root / name, md5):
                    (new / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(root / name, new / name)
            for train in (True, False):
                known.read(new, train, True)
            for path in sorted(new.rglob("*")):
                if path.is_file():
                    target = root / path.relative_to(new)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    path.replace(target)
    except Exception as error:  # torchvision and urllib raise all kinds, and a disk may be full
        if root != existing and root.is_dir() and not any(root.iterdir()):
            root.rmdir()
        reason = "; ".join(line for line in str(error).splitlines() if line) or type(error).__name__
        archives = ", ".join(str(root / name) for name, _ in known.archives)
        remedy = f"is the network there? or put the published files here yourself: {archives}"
        rule = f"{known.title} could not be fetched ({reason})"
        raise DataError(rule, file=root, remedy=remedy, code="system-error") from error
