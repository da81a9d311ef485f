"""What was made of the data is reported in every place; classes of other data are matched by name."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from refusals import refused

from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.cli.app import main
from dlexp.config.compose import load
from dlexp.config.derive import repeat
from dlexp.config.files.catalog import Catalog
from dlexp.errors import ConfigError, DataError
from dlexp.workflows.adapt import adapt
from dlexp.workflows.evaluate.evaluate import evaluate_run
from dlexp.workflows.reporter import Silent
from dlexp.workflows.train.train import Request, train

LINE = (
    "classification of y, 3 classes: 0, 1, 2; 2 numbers, 2 categories (city, plan); "
    "left out: note, id (numbers the rows)"
)


def cli(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    captured = capsys.readouterr()
    assert ended.value.code in (0, None), captured.err
    return re.sub(r"\s+", " ", captured.out + captured.err)


def test_the_line_is_in_the_header_and_in_every_record(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"])
    frame = frame.assign(city=rng.choice(["x", "z"], 60), plan=rng.choice(["p", "q"], 60), note="n", id=range(60))
    frame.assign(y=np.arange(60) % 3).to_csv("t.csv", index=False)
    data = ("data=csv", "data.path=t.csv", "data.target=y", "data.columns={note:drop}")
    assert f"task: {LINE}" in cli(capsys, "train", *data, "model=tabular_mlp", "trainer.epochs=1", "--run-dir", "r")
    meta = json.loads(Path("r/meta.json").read_text())
    assert meta["interpretation"] == LINE
    assert meta["omitted"] == {"id": "numbers the rows"}
    assert any(note.startswith("column 'id' numbers the rows and is left out") for note in meta["notes"])
    assert LINE in Path("r/train.log").read_text()
    cli(capsys, "report", "r")
    page = re.sub(r"<[^>]*>", " ", Path("r/report.html").read_text())
    assert LINE in re.sub(r"\s+", " ", page)
    output = cli(capsys, "data", "check", *data, "--out", "found")
    assert f"task {LINE}" in output
    assert "id: numbers the rows" in output
    assert json.loads(Path("found/check.json").read_text())["interpretation"] == LINE
    for command in (("data", "preview"), ("data", "fingerprint"), ("train", "--dry-run")):
        assert LINE in cli(capsys, *command, *data)


def png(level: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    pixels = np.full((8, 8), level, dtype=np.uint8) + np.random.default_rng(level).integers(
        0, 9, (8, 8), dtype=np.uint8
    )
    Image.fromarray(pixels).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def saved(folder: str, names: list[str], dark: int = 24, light: int = 24, other: int = 0) -> str:
    """Dark pictures of the class `dark` and light ones of `light`, numbered as `names` says."""
    datasets.disable_progress_bars()
    kinds = [kind for kind, count in (("dark", dark), ("light", light), ("other", other)) for _ in range(count)]
    levels = [(240 if kind == "light" else 0) - n % 16 * (1 if kind == "light" else -1) for n, kind in enumerate(kinds)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    content = {"image": [png(level % 256) for level in levels], "label": [names.index(kind) for kind in kinds]}
    datasets.Dataset.from_dict(content, features=features).save_to_disk(folder)
    return folder


CATALOG = Catalog(())
WORDS = ("model=simple_cnn", "model.channels=[4]", "model.fc=4", "model.norm=batch", "trainer.epochs=8",
         "optim.lr=0.02", "data.batch_size=8", "data=huggingface", "data.image_size=8", "data.pad=1",
         "data.augment=none")  # fmt: skip


def trained(run_dir: str, folder: str, *words: str) -> RunDir:
    config = load([*WORDS, f"data.folder={folder}", *words], CATALOG)
    return RunDir(
        Path(
            train(config, Request((*WORDS, f"data.folder={folder}", *words), ("dlexp",), Path(run_dir)), Silent())[
                "run"
            ]
        )
    )


def test_classes_of_other_data_are_matched_by_name(tmp_path: Path) -> None:
    run = trained("r", saved("a", ["dark", "light"]))
    assert evaluate_run(run.path, "test", "best", {}, ())["metrics"]["accuracy"] == 1
    turned = evaluate_run(run.path, "test", "best", {"data.folder": saved("b", ["light", "dark"])}, ())
    assert turned["metrics"]["accuracy"] == 1
    rows = pd.read_csv(run / "eval/test/predictions.csv")
    assert (rows["true"] == rows["predicted"]).all()
    more = saved("c", ["other", "light", "dark"], other=12)
    for allow in (True, False):
        with pytest.raises(DataError, match=r"'other'.*'dark', 'light'"):
            evaluate_run(run.path, "test", "best", {"data.folder": more}, (), allow_changes=allow)
    words = ("data.folder=b",)
    config, changes = repeat(run.path, words, CATALOG)
    content = adapt(run, config, Request(words, ("dlexp",), changes=tuple(changes)))
    assert content["val"]["before"]["accuracy"] == 1
    with pytest.raises(ConfigError, match=r"dark, light.*light, dark") as error:
        trained("s", "b", f"init_from={run.path}", "trainer.epochs=1")
    refused(error.value, "incompatible-data", "init_from", "init_head=new")
    run = trained("t", "b", f"init_from={run.path}", "trainer.epochs=1", "init_head=new")
    assert "newly initialized" in (run / "train.log").read_text()


def test_a_last_layer_of_other_classes_is_reported() -> None:
    words = ("model=mlp", "model.hidden=[4]", "trainer.epochs=1", "data.classes=[0,1]")
    config = load(words, CATALOG)
    source = train(config, Request(words, ("dlexp",), Path("r")), Silent())["run"]
    others = ("model=mlp", "model.hidden=[4]", "trainer.epochs=1", "data.classes=[5,6]", f"init_from={source}")
    run = train(load(others, CATALOG), Request(others, ("dlexp",), Path("s")), Silent())["run"]
    (note,) = [note for note in json.loads(Path(run, "meta.json").read_text())["notes"] if "init_from" in note]
    assert "classes 0, 1" in note and "init_head=new" in note


def test_images_of_signed_numbers_are_previewed(capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(0).integers(-1000, 1000, (30, 6, 6)).astype(np.int16)
    np.savez("a.npz", x=pixels, y=np.arange(30) % 3)
    output = cli(capsys, "data", "preview", "data=arrays", "data.path=a.npz", "--count", "4")
    assert "task classification of y, 3 classes: 0, 1, 2; images 1 x 6 x 6" in output
