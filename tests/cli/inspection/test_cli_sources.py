"""A folder with everything wrong that a folder may have, trained on; and sources that are missing, refused by name."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path

import numpy as np
import prefork
import pytest
from PIL import Image
from refusals import refused
from sklearn.datasets import load_digits

from dlexp.assemble.experiment import assemble, build_data
from dlexp.assemble.training import prepare_training
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError, DataError

SMALL = ("trainer.epochs=2", "model=mlp", "model.hidden=[32]", "optim.lr=0.01", "data.batch_size=32")


def run(folder: Path, *words: str, code: int = 0) -> str:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "400"}
    done = prefork.run(*words, cwd=folder, env=env)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 of scikit-learn's digits as PNG files in train, val and test; five broken, one a text, three copied."""
    folder = tmp_path_factory.mktemp("work")
    root, digits = folder / "digits", load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images[:400], digits.target, strict=False)):
        part = "train" if number < 280 else "val" if number < 340 else "test"
        path = root / part / str(label) / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15).astype(np.uint8)).save(path)
    whole = (root / "train" / "0" / "0000.png").read_bytes()
    broken = {
        "train/1/empty.png": b"",
        "train/2/cut.png": whole[:60],
        "train/3/worn.png": whole[:45] + bytes(20) + whole[65:],
        "val/4/page.png": b"<html>not found</html>",
        "test/5/packed.png": gzip.compress(whole),
    }
    for name, content in broken.items():
        (root / name).write_bytes(content)
    (root / "train" / "6" / "notes.txt").write_text("a text file")
    for source, copy in (("train/0/0000.png", "test/0/a.png"), ("train/1/0001.png", "val/1/b.png"),
                         ("val/9/0299.png", "test/9/c.png")):  # fmt: skip
        near = root / source
        found = near if near.is_file() else sorted(near.parent.glob("*.png"))[0]
        shutil.copy(found, root / copy)
    return folder


NINE = (
    *("empty.png", "cut.png", "worn.png", "page.png", "packed.png", "notes.txt"),
    *("test/0/a.png", "val/1/b.png", "test/9/c.png"),
)


def refusal(*words: str) -> DataError:
    with pytest.raises(DataError) as caught:
        build_data(load(list(words), Catalog()))
    return caught.value


def test_what_is_wrong_with_a_folder_is_named_at_once(work: Path) -> None:
    words = ("data=image_folder", f"data.path={work / 'digits'}", "data.image_size=8")
    error = refusal(*words)
    refused(error, "invalid-data", "5 files", "data.on_bad=skip")
    assert all(name in str(error) for name in NINE[:5])
    error = refusal(*words, "data.on_bad=skip")
    refused(error, "invalid-data", "3 images", "data.allow_duplicates=true")
    assert all(name in str(error) for name in NINE[6:])


def test_it_trains_and_each_of_the_nine_is_named(work: Path) -> None:
    words = ("data=image_folder", "data.path=digits", "data.image_size=8", "data.augment=none", *SMALL)
    said = run(work, "train", *words, "data.on_bad=skip", "data.allow_duplicates=true", "--run-dir", "run")
    log = (work / "run" / "train.log").read_text()
    meta = json.loads((work / "run" / "meta.json").read_text())
    notes = "\n".join(meta["notes"])
    for name in NINE:
        assert name in log, name
        assert name in notes, name
    other_files, damaged, copied, precision = meta["notes"]
    assert precision.startswith("an accuracy on the 61 validation samples")
    assert other_files.startswith("1 file ") and other_files.endswith(": train/6/notes.txt")
    assert damaged.startswith("5 files ")
    assert copied.startswith("3 images ")
    assert len(meta["left_out"]) == 6
    assert meta["samples"] == {"train": 280, "val": 61, "test": 62}
    assert damaged.partition(":")[0] in said
    assert json.loads((work / "run" / "summary.json").read_text())["best"]["accuracy"] > 0.6


def test_what_is_not_there_is_said_with_where_to_put_it(work: Path) -> None:
    said = run(work, "train", "-q", "data=mnist", *SMALL, code=3)
    assert f"{work / 'datasets'}: MNIST" in said
    assert "data.download=true" in said
    assert str(work / "datasets" / "MNIST" / "raw" / "train-images-idx3-ubyte.gz") in said


def test_arrays_bring_their_task(work: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 4))
    np.savez(work / "values.npz", x=x, y=x @ np.array([1.0, 2.0, -1.0, 0.5]))
    words = ["data=arrays", f"data.path={work / 'values.npz'}", "trainer.device=cpu", *SMALL]
    config = load(words, Catalog())
    assert config.choices["task"] == "regression"
    assert prepare_training(assemble(config)).steps_per_epoch == 2
    np.savez(work / "classes.npz", x=x, y=np.arange(60) % 2)
    for key in ("cutmix", "random_erasing"):
        cut = load(["data=arrays", f"data.path={work / 'classes.npz'}", f"regularization.{key}=0.5", *SMALL], Catalog())
        with pytest.raises(ConfigError, match=f"regularization.{key}=0.5"):
            prepare_training(assemble(cut))
    with pytest.raises(ConfigError, match="augment=crop"):
        build_data(load([*words, "data.augment=crop"], Catalog()))
