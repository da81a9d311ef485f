"""Published image sets, read by torchvision: MNIST, Fashion-MNIST, CIFAR-10, CIFAR-100, SVHN.

The official test part is the test split; validation is held out from the official training part, stratified by class.
Downloads are checked and unpacked in a temporary folder first, so that a failure leaves no incomplete files.

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

from dlexp.data.bundle import DataBundle, fingerprint_of
from dlexp.data.images.array_reader import ArrayImages
from dlexp.data.images.image_set import ImageSet
from dlexp.data.images.placement import Placement
from dlexp.data.splitting import held_out
from dlexp.errors import DataError

__all__ = ["cifar10", "cifar100", "fashion_mnist", "mnist", "svhn"]

Files = list[tuple[str, str | None]]  # paths in the root, with the required MD5, None for any


def _source(name: str, known: Callable[[], _Published], max_shift: int, doc: str) -> Callable[..., DataBundle]:
    """The data source `name` of a set; all have the same arguments, and `max_shift` as the default of `pad`."""

    def load(
        *,
        path: str,
        download: bool = False,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        val_fraction: float = 0.1,
        split_seed: int = 0,
        augment: str | Sequence[Any] = "none",
        pad: int = max_shift,
    ) -> DataBundle:
        return _bundle(known(), (path, download), (mean, std), (val_fraction, split_seed), (augment, pad))

    load.__name__ = load.__qualname__ = name
    load.__doc__ = doc + _ARGUMENTS
    return load


_ARGUMENTS = """

    path          the folder of the set, such as the parent of MNIST/raw
    download      download missing files
    mean, std     of each channel, as fractions of white; None to measure them on the training images
    val_fraction  fraction of the official training part that is held out for validation
    split_seed    seed of that split
    augment, pad  augmentation of training images, and its largest shift in pixels
    Raises DataError for files that are missing, damaged or cannot be downloaded.
    """

mnist = _source(
    "mnist",
    lambda: _mnist("MNIST"),
    2,
    "70,000 handwritten digits, inputs (1, 28, 28) uint8, ten classes (LeCun et al. 1998).",
)
fashion_mnist = _source(
    "fashion_mnist",
    lambda: _mnist("FashionMNIST"),
    2,
    "70,000 pieces of clothing, inputs (1, 28, 28) uint8, ten classes (Xiao, Rasul and Vollgraf 2017).",
)
# torchvision unpickles the files of CIFAR after checking that their MD5 hashes are the official ones.
cifar10 = _source(
    "cifar10",
    lambda: _cifar("CIFAR10"),
    4,
    "60,000 small photographs, inputs (3, 32, 32) uint8, ten classes (Krizhevsky 2009).",
)
cifar100 = _source(
    "cifar100",
    lambda: _cifar("CIFAR100"),
    4,
    "60,000 small photographs, inputs (3, 32, 32) uint8, a hundred classes (Krizhevsky 2009).",
)
svhn = _source(
    "svhn",
    lambda: _svhn(),
    4,
    "99,289 house numbers, inputs (3, 32, 32) uint8, ten classes (Netzer et al. 2011).",
)


@dataclass(frozen=True)
class _Part:
    """The training or the test part: images (N, C, H, W), class numbers (N,), class names."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class _Published:
    """The description of a set.

    files     the files that are read, in the root
    archives  the files that are downloaded, which may be the same
    shape     (C, H, W)
    mirrors   whether a mirrored image keeps its class
    read      (root, is the training part, unpack and download) -> the part
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
    split: tuple[float, int],
    change: tuple[str | Sequence[Any], int],
) -> DataBundle:
    """The bundle of a set.

    place   the root, and whether to download
    given   mean and deviation, or None and None
    split   fraction of the training part that is held out for validation, and the seed of that split
    change  augmentation and its largest shift
    """
    root = Path(place[0])
    _provide(known, root, download=place[1])
    official_train, official_test = _part(known, root, True), _part(known, root, False)
    labels = np.concatenate([official_train.labels, official_test.labels])
    train, val = held_out(np.arange(len(official_train.labels)), labels, official_train.classes, *split)
    test = np.arange(len(official_train.labels), len(labels))
    found = ImageSet(
        ArrayImages((official_train.images, official_test.images), file=root),
        labels,
        official_train.classes,
        (train, val, test),
        fingerprint_of(official_train.images, official_train.labels, official_test.images, official_test.labels),
        {},
        mirrors=known.mirrors,
    )
    return found.bundle(Placement(in_memory=True), given, change, measure_all=True)


def _part(known: _Published, root: Path, train: bool) -> _Part:
    """Read a part from `root`. Raises DataError for invalid files."""
    name = "training" if train else "test"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of NumPy, about old pickles
            part = known.read(root, train, False)
    except Exception as error:  # torchvision raises many types for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        rule = f"the {name} part of {known.title} cannot be read: {reason}"
        raise DataError(rule, file=root, remedy=_remedy(known, root, "Delete it and set"), code="corrupted") from error
    count = len(part.labels)
    if part.images.shape != (count, *known.shape) or part.images.dtype != np.uint8 or not count:
        rule = f"the {name} part of {known.title} has {count} labels and images of shape {part.images.shape}"
        raise DataError(rule, file=root, remedy=_remedy(known, root, "Delete it and set"), code="corrupted")
    if part.labels.min() < 0 or part.labels.max() >= len(part.classes):
        rule = f"the {name} part of {known.title} has labels {part.labels.min()} to {part.labels.max()}"
        raise DataError(f"{rule}, but there are {len(part.classes)} classes", file=root, code="corrupted")
    return part


def _provide(known: _Published, root: Path, download: bool) -> None:
    """Unpack or download missing files. Raises DataError if that is not possible."""
    missing = [name for name, _ in known.files if not (root / name).is_file()]
    changed = [name for name, md5 in known.files if name not in missing and not _is_whole(root / name, md5)]
    if not missing and not changed:
        return
    if download or all(_is_whole(root / name, md5) for name, md5 in known.archives):
        _fetch(known, root)
        return
    if missing:
        rule = f"{known.title} not found: {', '.join(missing)} missing"
        raise DataError(rule, file=root, remedy=_remedy(known, root, "Set"), code="not-found")
    rule = f"{', '.join(changed)} of {known.title} corrupted (MD5 differs from the published one)"
    raise DataError(rule, file=root, remedy=_remedy(known, root, "Set"), code="corrupted")


def _is_whole(path: Path, md5: str | None) -> bool:
    from torchvision.datasets.utils import check_integrity

    return bool(check_integrity(str(path), md5))


def _remedy(known: _Published, root: Path, first: str) -> str:
    """The remedy for missing and damaged files, starting with `first`."""
    archives = ", ".join(str(root / name) for name, _ in known.archives)
    return f"{first} data.download=true to download it, or put the published files here: {archives}"


def _fetch(known: _Published, root: Path) -> None:
    """Unpack existing archives and download the others, moving the files to `root` only once all are complete."""
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
    except Exception as error:  # torchvision and urllib raise many types, and a disk may be full
        if root != existing and root.is_dir() and not any(root.iterdir()):
            root.rmdir()
        reason = "; ".join(line for line in str(error).splitlines() if line) or type(error).__name__
        archives = ", ".join(str(root / name) for name, _ in known.archives)
        remedy = f"Check the network connection, or put the published files here: {archives}"
        rule = f"{known.title} could not be downloaded ({reason})"
        raise DataError(rule, file=root, remedy=remedy, code="system-error") from error
