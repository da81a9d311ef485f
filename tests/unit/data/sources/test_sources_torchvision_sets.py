"""The published image sets, read from small files in their true format, unpacked, downloaded and refused."""

from __future__ import annotations

import functools
import gc
import http.server
import pickle
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.datasets
from published_files import Part, md5_of, write_cifar, write_mnist, write_svhn
from refusals import refused

from dlexp.data.bundle import SPLITS, DataBundle
from dlexp.data.columns import tensor_of
from dlexp.data.sources import torchvision_sets
from dlexp.errors import DataError
from dlexp.types import as_tensor

Write = Callable[[Path, pytest.MonkeyPatch], tuple[Part, Part]]
SETS: dict[str, Write] = {
    "mnist": write_mnist,
    "fashion_mnist": functools.partial(write_mnist, name="FashionMNIST"),
    "cifar10": write_cifar,
    "cifar100": functools.partial(write_cifar, name="CIFAR100"),
    "svhn": write_svhn,
}
PACKED: dict[str, Write] = {
    "mnist": functools.partial(write_mnist, packed=True),
    "cifar10": functools.partial(write_cifar, packed=True),
}


def opened(name: str, root: Path, **given: Any) -> DataBundle:
    bundle: DataBundle = getattr(torchvision_sets, name)(path=str(root), **given)
    return bundle


def files_below(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_what_its_files_hold(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learned, judged = SETS[name](tmp_path, monkeypatch)
    bundle = opened(name, tmp_path, val_fraction=0.2)
    count, classes = len(learned[1]), bundle.spec.num_outputs
    assert classes == len(bundle.spec.output_names) == (100 if name == "cifar100" else 10)
    assert bundle.splits["test"].indices.tolist() == list(range(count, count + len(judged[1])))
    assert sorted(torch.cat([bundle.splits[part].indices for part in SPLITS]).tolist()) == list(
        range(count + len(judged[1]))
    )
    assert (
        tensor_of(bundle.splits["val"].targets).bincount().tolist() == [max(1, round(0.2 * count / classes))] * classes
    )
    images, labels = np.concatenate([learned[0], judged[0]]), np.concatenate([learned[1], judged[1]])
    for split in bundle.splits.values():
        assert np.array_equal(tensor_of(split.inputs).numpy(), images[split.indices])
        assert np.array_equal(tensor_of(split.targets).numpy(), labels[split.indices])
    ready = as_tensor(bundle.preprocess(tensor_of(bundle.splits["train"].inputs)))
    assert ready.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert (ready.std(dim=(0, 2, 3)) - 1).abs().max() < 1e-3
    again = opened(name, tmp_path, val_fraction=0.2)
    assert (again.fingerprint, again.split_hash) == (bundle.fingerprint, bundle.split_hash)
    other = opened(name, tmp_path, val_fraction=0.2, split_seed=1)
    assert other.split_hash != bundle.split_hash
    assert torch.equal(other.splits["test"].indices, bundle.splits["test"].indices)


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar100", "svhn"])
def test_classes_have_their_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SETS[name](tmp_path, monkeypatch)
    names = opened(name, tmp_path).spec.output_names
    digits = tuple("0123456789")
    assert names[:10] == (
        tuple(f"{'label' if name == 'cifar10' else 'fine'} {n}" for n in digits) if "c" in name else digits
    )


def test_mean_and_deviation_may_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ToTensor and Normalize([0.5], [0.5]) of torchvision: white becomes 1, black -1."""
    write_mnist(tmp_path, monkeypatch)
    bundle = opened("mnist", tmp_path, mean=[0.5], std=[0.5])
    ends = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 1, 28, 28)
    assert torch.allclose(as_tensor(bundle.preprocess(ends)).amax(dim=(1, 2, 3)), torch.tensor([-1.0, 1.0]), atol=1e-6)
    assert bundle.preprocessing["measured_on"] == 0
    for wrong, match in (
        ({"mean": [0.5]}, r"mean=\[0\.5\], std=None"),
        ({"mean": [0.5] * 3, "std": [0.5] * 3}, "mean="),
    ):
        with pytest.raises(ValueError, match=match):
            opened("mnist", tmp_path, **wrong)
    with pytest.raises(ValueError, match=r"std=\[0\.0\]"):
        opened("mnist", tmp_path, mean=[0.5], std=[0.0])


@pytest.mark.parametrize("name", PACKED)
def test_archives_that_are_there_are_unpacked_without_a_network(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    PACKED[name](tmp_path / "packed", monkeypatch)
    SETS[name](tmp_path / "plain", monkeypatch)
    archives = files_below(tmp_path / "packed")
    bundle = opened(name, tmp_path / "packed")
    assert bundle.fingerprint == opened(name, tmp_path / "plain").fingerprint
    assert files_below(tmp_path / "packed") == sorted([*archives, *files_below(tmp_path / "plain")])


@pytest.mark.parametrize("name", SETS)
def test_what_is_missing_is_named_and_nothing_is_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError) as caught:
        opened(name, tmp_path / "none")
    refused(caught.value, "not-found", str(tmp_path / "none"), "data.download=true")
    assert not (tmp_path / "none").exists()
    assert caught.value.exit_code == 3
    SETS[name](tmp_path, monkeypatch)
    one = files_below(tmp_path)[0]
    (tmp_path / one).unlink()
    with pytest.raises(DataError) as caught:
        opened(name, tmp_path)
    refused(caught.value, "not-found", one)


class Harmful:
    """Creates the file `harmed` when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("harmed"),)


def test_a_file_that_is_not_the_published_one_is_not_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path, monkeypatch)
    file = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    file.write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(DataError) as caught:
        opened("cifar10", tmp_path)
    refused(caught.value, "corrupted", "cifar-10-batches-py/data_batch_3")
    assert not Path("harmed").exists()
    pickle.loads(file.read_bytes())
    assert Path("harmed").exists()


@pytest.mark.parametrize("cut", [3, 20, 2000])
def test_a_damaged_file_is_told(cut: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path, monkeypatch)
    file = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(DataError) as caught:
        opened("mnist", tmp_path)
    refused(caught.value, "corrupted", "MNIST", "data.download=true")


def test_labels_and_images_must_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path, monkeypatch)
    file = tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    content = bytearray(file.read_bytes())
    content[-1] = 17
    file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        opened("mnist", tmp_path)
    refused(caught.value, "corrupted", "0 to 17")
    content[7] -= 5
    file.write_bytes(content[:-5])
    with pytest.raises(DataError) as caught:
        opened("mnist", tmp_path)
    refused(caught.value, "corrupted", "(20, 1, 28, 28)")
    assert "15 labels" in str(caught.value)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """(a folder, the address under which its files are served)."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "*")
    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{found.server_port}/"
        found.shutdown()
        thread.join()


def test_what_is_missing_is_downloaded(
    server: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = server
    write_mnist(folder, monkeypatch, packed=True)
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"{address}MNIST/raw/"])
    root = tmp_path / "new" / "deep"
    bundle = opened("mnist", root, download=True)
    assert sum(bundle.sizes().values()) == 80
    assert len(files_below(root)) == 8
    assert [path.name for path in root.iterdir()] == ["MNIST"]
    for file in folder.rglob("*.gz"):  # nothing is asked for twice
        file.unlink()
    assert opened("mnist", root, download=True).fingerprint == bundle.fingerprint


def fails(root: Path) -> None:
    """A download of MNIST fails; what torchvision leaves open of a refused request is closed here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(DataError) as caught:
            opened("mnist", root, download=True)
        refused(caught.value, "system-error", "MNIST", "train-images")
        gc.collect()


@pytest.mark.parametrize("fault", ["gone", "cut", "other"])
def test_a_download_that_fails_leaves_nothing(
    fault: str, server: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = server
    write_mnist(folder, monkeypatch, packed=True)
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"{address}MNIST/raw/"])
    last = folder / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    content = last.read_bytes()
    last.unlink()
    if fault != "gone":
        last.write_bytes(content[:-9] if fault == "cut" else content + b"x")
    with pytest.raises(DataError) as caught:
        opened("mnist", tmp_path / "new", download=True)
    refused(caught.value, "system-error", "MNIST", "train-images")
    assert not (tmp_path / "new").exists()
    kept = tmp_path / "kept"
    (kept / "MNIST" / "raw").mkdir(parents=True)
    (kept / "MNIST" / "raw" / "mine.txt").write_text("x")
    fails(kept)
    assert files_below(kept) == ["MNIST/raw/mine.txt"]
    assert [path.name for path in kept.iterdir()] == ["MNIST"]


def test_one_spoilt_file_is_replaced_by_a_download(
    server: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = server
    write_cifar(folder, monkeypatch, packed=True)
    write_cifar(tmp_path / "mine", monkeypatch)
    write_cifar(folder, monkeypatch, packed=True)
    kind = torchvision.datasets.CIFAR10
    monkeypatch.setattr(kind, "url", f"{address}{kind.filename}")
    spoilt = tmp_path / "mine" / kind.base_folder / "test_batch"
    right = spoilt.read_bytes()
    spoilt.write_bytes(b"")
    opened("cifar10", tmp_path / "mine", download=True)
    assert md5_of(spoilt.read_bytes()) == md5_of(right)
