"""Small files of every source that reads files, for the lines that name one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from published_files import write_cifar, write_mnist


@pytest.fixture(scope="session")
def folder_of_small_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """datasets/ with MNIST and CIFAR-10, pets/ and imagenet/ of images, people.parquet, arrays.npz."""
    folder, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    for place, size in (("pets", 16), ("imagenet/train", 16), ("imagenet/val", 16)):
        for name in ("n01440764", "n02012849"):
            (folder / place / name).mkdir(parents=True)
            for number in range(8):
                pixels = rng.integers(0, 255, (size, size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / place / name / f"{number}.png")
    people = {"age": rng.integers(18, 80, 60), "town": ["Bonn", "Trier"] * 30, "income": rng.normal(30e3, 9e3, 60)}
    pd.DataFrame(people).to_parquet(folder / "people.parquet")
    np.savez(folder / "arrays.npz", x=rng.integers(0, 255, (60, 16, 16, 3), dtype=np.uint8), y=np.arange(60) % 3)
    with pytest.MonkeyPatch.context() as patch:
        write_mnist(folder / "datasets", patch)
        write_cifar(folder / "datasets", patch)
        yield folder


@pytest.fixture
def small_files(folder_of_small_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test is in the folder of them."""
    monkeypatch.chdir(folder_of_small_files)
