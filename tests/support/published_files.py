"""Small files in the true format of the published image sets, and the checksums that make torchvision take them.

torchvision reads CIFAR and SVHN only with the MD5 of the official files, and so it should; a test enters the sums of
its own small files into torchvision's lists, for as long as it runs.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets
from numpy.typing import NDArray

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def samples(count: int, shape: tuple[int, int, int], seed: int, classes: int = 10) -> Part:
    """Noise on a level that tells the class: images (N, C, H, W), labels (N,) with every class in turn."""
    labels = np.arange(count) % classes
    noise = np.random.default_rng(seed).integers(0, 60, (count, *shape))
    return (noise + (labels * 190 // classes)[:, None, None, None]).astype(np.uint8), labels


def md5_of(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def idx(array: NDArray[np.uint8]) -> bytes:
    """An array of bytes in the format of the MNIST files: 0, 0, 8 for unsigned bytes, the dimensions, the values."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write_mnist(
    root: Path, patch: pytest.MonkeyPatch, name: str = "MNIST", packed: bool = False, counts: tuple[int, int] = (60, 20)
) -> tuple[Part, Part]:
    """NAME/raw/train-images-idx3-ubyte and the three others, or each of them as .gz. Gives what they hold."""
    raw = root / name / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    parts = samples(counts[0], (1, 28, 28), 0), samples(counts[1], (1, 28, 28), 1)
    sums = {}
    for prefix, (images, labels) in zip(("train", "t10k"), parts, strict=True):
        for file, array in ((f"{prefix}-images-idx3-ubyte", images[:, 0]), (f"{prefix}-labels-idx1-ubyte", labels)):
            content = idx(array.astype(np.uint8))
            archive = gzip.compress(content, mtime=0)
            sums[f"{file}.gz"] = md5_of(archive)
            (raw / (f"{file}.gz" if packed else file)).write_bytes(archive if packed else content)
    kind: Any = getattr(torchvision.datasets, name)
    patch.setattr(kind, "resources", [(file, sums[file]) for file, _ in kind.resources])
    return parts


def write_cifar(
    root: Path, patch: pytest.MonkeyPatch, name: str = "CIFAR10", packed: bool = False
) -> tuple[Part, Part]:
    """The pickled batches of the Python version, or the .tar.gz of them. Gives what they hold."""
    kind: Any = getattr(torchvision.datasets, name)
    classes = 10 if name == "CIFAR10" else 100
    parts = samples(5 * classes, (3, 32, 32), 0, classes), samples(2 * classes, (3, 32, 32), 1, classes)
    key = "labels" if name == "CIFAR10" else "fine_labels"
    files: dict[str, bytes] = {}
    for listed, (images, labels) in zip((kind.train_list, kind.test_list), parts, strict=True):
        for (file, _), some in zip(listed, np.array_split(np.arange(len(labels)), len(listed)), strict=True):
            batch = {"batch_label": file, key: labels[some].tolist(), "data": images[some].reshape(len(some), -1)}
            files[file] = pickle.dumps(batch, protocol=2)
    names = [f"{kind.meta['key'].partition('_')[0]} {number}" for number in range(classes)]
    files[kind.meta["filename"]] = pickle.dumps({kind.meta["key"]: names}, protocol=2)
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for file, content in files.items():
            info = tarfile.TarInfo(f"{kind.base_folder}/{file}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    archive = gzip.compress(plain.getvalue(), compresslevel=1, mtime=0)  # the same bytes at any time
    patch.setattr(kind, "tgz_md5", md5_of(archive))
    patch.setattr(kind, "train_list", [[file, md5_of(files[file])] for file, _ in kind.train_list])
    patch.setattr(kind, "test_list", [[file, md5_of(files[file])] for file, _ in kind.test_list])
    patch.setattr(kind, "meta", {**kind.meta, "md5": md5_of(files[kind.meta["filename"]])})
    root.mkdir(parents=True, exist_ok=True)
    if packed:
        (root / kind.filename).write_bytes(archive)
        return parts
    (root / kind.base_folder).mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (root / kind.base_folder / file).write_bytes(content)
    return parts


def write_svhn(root: Path, patch: pytest.MonkeyPatch) -> tuple[Part, Part]:
    """train_32x32.mat and test_32x32.mat, in which the digit 0 has the label 10. Gives what they hold."""
    from scipy.io import savemat

    root.mkdir(parents=True, exist_ok=True)
    parts = samples(60, (3, 32, 32), 0), samples(20, (3, 32, 32), 1)
    known = dict(torchvision.datasets.SVHN.split_list)
    for name, (images, labels) in zip(("train", "test"), parts, strict=True):
        path = root / f"{name}_32x32.mat"
        written = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
        savemat(path, {"X": images.transpose(2, 3, 1, 0), "y": written})
        known[name] = [known[name][0], path.name, md5_of(path.read_bytes())]
    patch.setattr(torchvision.datasets.SVHN, "split_list", known)
    return parts
