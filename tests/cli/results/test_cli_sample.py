"""`dlexp sample` from the command line and in Python, and the pictures that a run makes while it trains."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from made_files.toy_generators import OPTIONS, PACKAGE, SHORT
from numpy.typing import NDArray
from outside_package import OWN, dlexp, installed, rows_of
from PIL import Image
from refusals import line_refused
from sklearn.datasets import load_digits

import dlexp as package
from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.workflows.sample.pictures import sample_picture
from dlexp.workflows.sample.request import SampleRequest
from dlexp.workflows.sample.sample import make_samples

TRUST = OWN[2:]
EMA = "regularization.ema.decay=0.5"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Runs of the painter (with averaged weights), of the coder, and of the coder on a table."""
    folder = tmp_path_factory.mktemp("sampled")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        drawn = np.random.default_rng(0)
        lines = [f"{x:.4f},{2 * x:.4f},{'red' if x > 0 else 'blue'}" for x in drawn.normal(size=60)]
        Path("t.csv").write_text("\n".join(["a,b,color", *lines]) + "\n")
        table = ("data=csv", "data.path=t.csv", "data.target=color")
        with installed(folder, PACKAGE, OPTIONS):
            dlexp("train", *OWN, *SHORT, "task=painter", EMA, "-o", "painter")
            dlexp("train", *OWN, *SHORT, "task=coder", "-o", "coder")
            dlexp("train", *OWN, *SHORT, "task=coder", *table, "-o", "table")
    yield folder


@pytest.fixture(autouse=True)
def inside(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("painter", "coder", "table"):
        (tmp_path / name).symlink_to(place / name)
    with installed(tmp_path, PACKAGE, OPTIONS):
        yield


def sampled(run: str, *words: str) -> NDArray[Any]:
    """The array of `dlexp sample`."""
    dlexp("sample", run, *words, *TRUST, "--out", "made", "-q")
    (path,) = Path("made").glob("*.npy")
    found = np.load(path)
    path.unlink()
    return found  # type: ignore[no-any-return]


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> list[tuple[str, str]]:
    capsys.readouterr()
    dlexp("sample", *words, *TRUST, "--json", code=2)
    return [(each["where"], each["code"]) for each in json.loads(capsys.readouterr().out)["error"]["problems"]]


def test_a_sample_is_a_function_of_seed_and_number() -> None:
    many = sampled("painter", "-n", "70", "--seed", "3")
    assert many.dtype == np.uint8 and many.shape == (70, 1, 8, 8) and many.max() <= 16
    assert np.array_equal(sampled("painter", "-n", "3", "--first", "62", "--seed", "3"), many[62:65])
    assert np.array_equal(sampled("painter", "-n", "1", "--first", "5", "--seed", "3"), many[5:6])
    assert not np.array_equal(sampled("painter", "-n", "70", "--seed", "4"), many)
    assert not np.array_equal(sampled("painter", "-n", "70", "--seed", "3", "--steps", "5"), many)
    assert not np.array_equal(sampled("painter", "-n", "70", "--seed", "3", "--guidance", "0.5"), many)


def test_classes_take_turns_or_are_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    level = np.round(np.linspace(0, 1, 10) * 16)
    assert np.array_equal(sampled("painter")[:, 0, 0, 0], np.tile(level, 6))  # 60: as many of each
    assert np.array_equal(sampled("painter", "-n", "4", "--class", "7,2")[:, 0, 0, 0], level[[7, 2, 7, 2]])
    assert set(sampled("painter", "-n", "3", "--class", "none")[:, 0, 0, 0]) == {0}
    capsys.readouterr()
    dlexp("sample", "painter", "-n", "12", "--class", "7", "--class", "2", *TRUST, "--json", "-o", "made")
    content = json.loads(capsys.readouterr().out)
    assert content["classes"] == ["7", "2"] * 6 and content["files"]["picture"] == "samples.png"
    assert json.loads(Path("made/samples.json").read_text()) == content
    assert refused(capsys, "painter", "--class", "seven") == [("--class", "unknown-value")]


def test_paths_begin_and_end_at_samples() -> None:
    singles = sampled("coder", "-n", "4").astype(int)
    paths = sampled("coder", "--interpolate", "5", "-n", "2").astype(int)
    assert paths.shape == (2, 5, 1, 8, 8)
    assert abs(paths[:, 0] - singles[::2]).max() <= 1 and abs(paths[:, -1] - singles[1::2]).max() <= 1
    mixed = sampled("painter", "--interpolate", "3", "--between", "0,9", "-n", "2")
    assert np.array_equal(mixed[:, :, 0, 0, 0], [[0, 8, 16]] * 2)


def test_reconstructions_stand_beside_the_pixels_of_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    pixels = load_digits().images
    capsys.readouterr()
    dlexp("sample", "coder", "--reconstruct", "-n", "5", *TRUST, "--json", "-o", "made")
    content = json.loads(capsys.readouterr().out)
    assert content["split"] == "val" and content["split_accesses"] >= 1
    found = np.load("made/reconstruction.npy")
    assert found.shape == (5, 2, 1, 8, 8)
    assert np.array_equal(found[:, 0, 0], pixels[content["rows"]])
    rows = [str(row) for row in content["rows"][:2]]
    assert np.array_equal(sampled("coder", *rows, "--reconstruct")[:, 0, 0], pixels[content["rows"][:2]])
    between = sampled("coder", "--interpolate", "3", "--between", "3,7", "-n", "2", "--split", "train")
    named = sampled("coder", "--interpolate", "3", *rows)
    assert between.shape == (2, 3, 1, 8, 8) and named.shape == (1, 3, 1, 8, 8)
    assert abs(named[0, 0].astype(int) - found[0, 1].astype(int)).max() <= 1


def test_one_latent_varies_in_a_traversal() -> None:
    found = sampled("coder", "--traverse", "2", "-n", "3").astype(int)
    assert found.shape == (3, 7, 1, 8, 8)
    assert not np.array_equal(found[0, 0], found[0, 6])
    assert sampled("coder", "--traverse", "all").shape == (6, 7, 1, 8, 8)


def test_rows_of_a_table_come_in_their_own_units() -> None:
    dlexp("sample", "table", "-n", "9", *TRUST, "-q")
    found = pd.read_csv("table/samples/samples.csv")
    assert list(found) == ["a", "b"] and len(found) == 9
    assert (Path("table/samples/samples.png")).is_file()
    dlexp("sample", "table", "--reconstruct", "-n", "4", *TRUST, "-q")
    pairs = pd.read_csv("table/samples/reconstruction.csv")
    data = pd.read_csv("t.csv") if Path("t.csv").exists() else None
    assert data is None and list(pairs["what"]) == ["original", "reconstruction"] * 4
    originals = pairs[pairs["what"] == "original"]
    assert np.allclose(originals["b"], 2 * originals["a"], atol=1e-3)


def test_samples_without_a_picture_say_why(capsys: pytest.CaptureFixture[str]) -> None:
    rows = "\n".join(f"{n / 7:.3f},{'red' if n % 2 else 'blue'}" for n in range(60))
    Path("one.csv").write_text(f"a,color\n{rows}\n")
    tiny = ("model.hidden=[4]", "model.latent=2", "trainer.epochs=1", "-q", "-o", "one")
    dlexp("train", "model=vae", "data=csv", "data.path=one.csv", "data.target=color", *tiny)
    capsys.readouterr()
    dlexp("sample", "one", "-n", "3")
    out = capsys.readouterr().out
    assert "no picture" in out and "the table has one" in out
    dlexp("sample", "one", "-n", "3", "--json")
    content = json.loads(capsys.readouterr().out)
    assert "two columns" in content["no_picture"] and list(content["files"]) == ["samples"]
    line = ("train", "--from", "one", "trainer.sample_every=1", "-o", "other")
    error = line_refused(capsys, *line, code="no-effect", where="trainer.sample_every")
    assert "two columns" in error["problems"][0]["rule"]
    dlexp("sample", "table", "-n", "3", *TRUST, "--json")
    assert "no_picture" not in json.loads(capsys.readouterr().out)


def test_samples_need_no_data_and_reconstructions_do(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    Path("t.csv").rename("elsewhere.csv")
    try:
        dlexp("sample", "table", "-n", "2", *TRUST, "-q", "-o", "made")
        dlexp("sample", "table", "--reconstruct", *TRUST, "-q", code=3)
    finally:
        Path("elsewhere.csv").rename("t.csv")


def test_words_without_effect_are_refused_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "coder", "--steps", "3", "--guidance", "2", "--class", "7") == [
        ("--steps", "no-effect"),
        ("--guidance", "no-effect"),
        ("--class", "no-effect"),
    ]
    assert refused(capsys, "painter", "--reconstruct") == [("--reconstruct", "not-supported")]
    assert refused(capsys, "painter", "--traverse", "0") == [("--traverse", "not-supported")]
    assert refused(capsys, "coder", "--traverse", "6") == [("--traverse", "out-of-range")]
    assert refused(capsys, "coder", "--between", "3,7") == [("--between", "no-effect")]
    assert refused(capsys, "coder", "12") == [("ROW", "no-effect")]
    assert refused(capsys, "coder", "x") == [("ROW", "invalid-type")]
    assert refused(capsys, "coder", "--interpolate", "4", "--between", "3") == [("--between", "invalid-value")]
    assert refused(capsys, "coder", "--interpolate", "4", "--between", "3,x") == [("--between", "unknown-value")]
    assert refused(capsys, "coder", "--interpolate", "4", "--reconstruct") == [("--interpolate", "cannot-combine")]
    assert refused(capsys, "coder", "--split", "test") == [("--split", "no-effect")]
    assert refused(capsys, "coder", "--reconstruct", "--split", "tset", "--checkpoint", "bets") == [
        ("--split", "unknown-value"),
        ("--checkpoint", "unknown-value"),
    ]


def test_a_run_that_learns_no_inputs_makes_no_samples(capsys: pytest.CaptureFixture[str]) -> None:
    dlexp("train", "model=mlp", "model.hidden=[4]", "data=iris", "trainer.epochs=1", "-q", "-o", "classes")
    assert refused(capsys, "classes") == [("task", "incompatible-run")]
    line = ("train", "data=iris", "model=mlp", "trainer.sample_every=2", "-o", "other")
    line_refused(capsys, *line, code="no-effect", where="trainer.sample_every")
    assert not Path("other").exists()


def test_pictures_while_training_have_the_weights_that_are_evaluated() -> None:
    run = RunDir(Path("painter"))
    made = make_samples(run, SampleRequest(30, checkpoint="last", trusted=("outside",)))
    draw = sample_picture(made.maker.units, made.values, made.plan, "epoch 2")
    assert draw is not None and draw() == (run / "samples/epoch_0002.png").read_bytes()
    raw = read_checkpoint(run / "checkpoints/last.pt")["networks"]
    made.maker.networks.load_state_dict(raw)
    sampling = made.maker.decoded(made.plan.tiles, sampling_of(made.plan))
    assert not np.array_equal(sampling, made.values)  # the average differs from the trained weights


def sampling_of(plan: Any) -> Any:
    from dlexp.tasks.generative.base import Sampling

    return Sampling(0, torch.empty(0, dtype=torch.int64))


def test_pictures_change_no_bit_of_the_training_and_survive_a_resume() -> None:
    line = ("train", *OWN, *SHORT, "task=painter", EMA)
    dlexp(*line, "trainer.epochs=3", "trainer.sample_every=1", "-o", "whole")
    dlexp(*line, "trainer.epochs=3", "trainer.sample_every=0", "-o", "none")
    assert rows_of("whole") == rows_of("none") and not Path("none/samples").exists()
    states = [read_checkpoint(Path(run) / "checkpoints/last.pt") for run in ("whole", "none")]
    assert torch.equal(*(state["networks"]["model.down.1.weight"] for state in states))
    assert torch.equal(*(state["eval_weights"]["model.up.0.weight"] for state in states))
    dlexp(*line, "trainer.epochs=1", "trainer.sample_every=1", "-o", "part")
    Path("part/samples/epoch_0007.png").write_bytes(b"of an epoch that is trained again")
    dlexp("train", "--resume", "part", "trainer.epochs=3", *TRUST, "-q")
    names = ["epoch_0001.png", "epoch_0002.png", "epoch_0003.png", "samples.gif"]
    for run in ("whole", "part"):
        assert sorted(path.name for path in (Path(run) / "samples").iterdir()) == names
    assert all((Path("whole/samples") / n).read_bytes() == (Path("part/samples") / n).read_bytes() for n in names)
    with Image.open("whole/samples/samples.gif") as animation:
        assert animation.n_frames == 3  # type: ignore[attr-defined]


def test_ten_pictures_by_default_and_reconstructions_of_an_autoencoder(tmp_path: Path) -> None:
    dlexp(
        "train",
        "model=autoencoder",
        "data=iris",
        "model.hidden=[4]",
        "model.latent=2",
        "trainer.epochs=12",
        "-q",
        "-o",
        "a",
    )
    made = sorted(path.name for path in Path("a/samples").iterdir())
    assert made == [*(f"epoch_{epoch:04d}.png" for epoch in range(2, 13, 2)), "samples.gif"]


def test_the_page_shows_the_last_picture_the_animation_and_parts_of_the_loss() -> None:
    dlexp("sample", "painter", "-n", "4", *TRUST, "-q")
    dlexp("report", "painter", "--out", "page.html")
    page = Path("page.html").read_text()
    assert page.count("data:image/gif;base64") == 1 and "After epoch 2" in page and ">Samples</h2>" in page
    assert "Parts of the loss and metrics in epoch 2." in page and "Samples made by dlexp sample." in page


def test_samples_in_python() -> None:
    run = package.load("painter", trust=["outside"])
    found = run.sample(count=3, first=4, classes=[7])
    assert isinstance(found, np.ndarray)
    assert np.array_equal(found, sampled("painter", "-n", "3", "--first", "4", "--class", "7"))
    frame = package.load("table", trust=["outside"]).sample(count=5, out="made")
    assert isinstance(frame, pd.DataFrame) and list(frame) == ["a", "b"] and len(frame) == 5
    assert Path("made/samples.csv").is_file()
    with pytest.raises(package.ConfigError) as raised:
        run.sample(reconstruct=True)
    assert [problem.code for problem in raised.value.problems] == ["not-supported"]
    with pytest.raises(package.ConfigError) as raised:
        run.sample(between=["3", "7"])
    assert "interpolate=8" in str(raised.value)


def test_an_evaluation_in_python_takes_steps_and_guidance() -> None:
    run = package.load("painter", trust=["outside"])
    found = run.evaluate(split="val", samples=500, steps=2, guidance=2.0)
    assert {name: found.report["generated"][name] for name in ("samples", "steps", "guidance")} == {
        "samples": 500,
        "steps": 2,
        "guidance": 2.0,
    }
    with pytest.raises(package.ConfigError) as raised:
        package.load("coder", trust=["outside"]).evaluate(split="val", steps=2, guidance=2.0)
    assert [problem.code for problem in raised.value.problems] == ["no-effect", "no-effect"]


def test_the_beginning_of_a_run_says_the_range_of_its_pixels() -> None:
    assert "pixels from 0 to 1" in Path("painter/train.log").read_text()
    assert "pixels" not in Path("table/train.log").read_text()


def test_pixels_of_a_picture_are_squares() -> None:
    dlexp("sample", "painter", "-n", "20", "--class", "3", *TRUST, "-q")
    values = np.load("painter/samples/samples.npy")
    with Image.open(io.BytesIO(Path("painter/samples/samples.png").read_bytes())) as picture:
        shown = np.asarray(picture.convert("L"))
    levels = np.round(255.0 * values[0, 0] / 16).astype(np.uint8).repeat(6, 0).repeat(6, 1)
    assert np.array_equal(shown[6:54, 6:54], levels)
