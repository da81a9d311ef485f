"""A folder of images through the whole command line: trained on, evaluated, tuned, refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import prefork
import pytest
from PIL import Image

WORDS = (
    *("data=image_folder", "data.path=pets", "data.image_size=8", "data.pad=1", "data.batch_size=16"),
    *("data.in_memory=false", "data.workers=2", "data.eval_batch_size=4", "trainer.epochs=3"),
    *("model=simple_cnn", "model.channels=[4]", "model.fc=8", "model.dropout=0"),
)


def run(folder: Path, *words: str, code: int = 0) -> str:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = prefork.run(*words, cwd=folder, env=env)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright and dark noise, 40 files each."""
    folder = tmp_path_factory.mktemp("work")
    rng = np.random.default_rng(0)
    for number, name in enumerate(("dark", "light")):
        (folder / "pets" / name).mkdir(parents=True)
        for index in range(40):
            pixels = rng.integers(100 * number, 156 + 100 * number, (10, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "pets" / name / f"{index}.jpg", quality=90)
    return folder


def test_trained_on_and_evaluated(pets: Path) -> None:
    run(pets, "train", "-q", *WORDS, "optim.lr=0.02", "--run-dir", "run")
    report = json.loads(run(pets, "evaluate", "run", "--json"))
    assert report["samples"] == 16
    assert report["metrics"]["accuracy"] == 1.0
    # Where the images are is no part of what the run is.
    kept = json.loads(run(pets, "evaluate", "run", "--json", "data.in_memory=true"))
    assert kept["metrics"] == report["metrics"]
    assert [change["path"] for change in kept["changed_since_training"]] == []


def test_tuned_in_processes_that_have_workers_of_their_own(pets: Path) -> None:
    words = ("search.confirm_top=0", "search.space={optim.lr:{log:[1e-3,1e-2]}}")
    run(pets, "tune", "-n", "2", "--jobs", "2", "-q", "--name", "images", *WORDS, *words)
    trials = (pets / "outputs" / "tune" / "images" / "trials.csv").read_text().splitlines()
    assert len(trials) == 3
    assert sum("COMPLETE" in line.upper() or "finished" in line for line in trials[1:]) == 2, trials


def test_what_cannot_be_trained_on_is_refused_before_anything_is_written(pets: Path) -> None:
    said = run(pets, "train", "--dry-run", *WORDS, "data.path=pest", code=3)
    assert "pest" in said
    assert "did you mean pets?" in said.lower()
