"""A folder with every file that the commands of the documentation name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from doc_pages import NAMES, saved_files
from source_files import folder_of_small_files as folder_of_small_files


@pytest.fixture(scope="session")
def folder_of_the_docs(folder_of_small_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small tables, arrays and images; my_package/ and my_conf/ with the examples of all pages."""
    folder, rng = tmp_path_factory.mktemp("docs"), np.random.default_rng(0)
    for path in folder_of_small_files.iterdir():
        (folder / path.name).symlink_to(path)
    pd.read_parquet(folder / "people.parquet").to_csv(folder / "people.csv", index=False)
    pd.read_parquet(folder / "people.parquet").to_excel(folder / "people.xlsx", index=False)
    wine = {"alcohol": rng.normal(13, 1, 60), "hue": rng.normal(1, 0.1, 60), "target": np.arange(60) % 3}
    pd.DataFrame(wine).to_csv(folder / "wine.csv", index=False)
    rare = {"area": rng.normal(9, 1, 60), "diagnosis": ["benign", "malignant", "benign"] * 20}
    pd.DataFrame(rare).to_csv(folder / "rare.csv", index=False)
    visits = {
        "patient": np.arange(60) // 3,
        "day": np.arange(60),
        "sick": ["no", "yes", "no"] * 20,
        "x": rng.random(60),
    }
    for name in ("visits", "train", "val", "test"):
        table = pd.DataFrame({**visits, "x": rng.random(60), "sold": np.arange(60) % 2, "income": rng.normal(size=60)})
        table.to_csv(folder / f"{name}.csv", index=False)
    write_sequences(folder)
    for page in NAMES:
        for name, text in saved_files(page).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    found = folder / "my_conf/experiment/lr_found.yaml"  # what `dlexp lr-find --apply --config-dir my_conf` writes
    found.write_text("# @package _global_\noptim: {lr: 0.01}\n", encoding="utf-8")
    return folder


def write_sequences(folder: Path) -> None:
    """Reviews as a table and as a folder for each class, and series with a class."""
    words = [f"the film number {n} was {'good' if n % 2 else 'bad'} and long" for n in range(40)]
    pd.DataFrame({"review": words, "stars": ["high", "low"] * 20}).to_csv(folder / "reviews.csv", index=False)
    for number, text in enumerate(words):
        place = folder / "reviews" / ("low" if number % 2 else "high")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.txt").write_text(text)
    header = "@problemName Waves\n@timeStamps false\n@univariate true\n@classLabel true up down\n@data\n"
    for part in ("TRAIN", "TEST"):
        rows = [f"{n},{n + 1},{n + 2}:{'up' if n % 2 else 'down'}" for n in range(20)]
        (folder / f"Waves_{part}.ts").write_text(header + "\n".join(rows) + "\n")


@pytest.fixture
def in_folder_of_the_docs(folder_of_the_docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test is in that folder, and writes nothing into it."""
    monkeypatch.chdir(folder_of_the_docs)
