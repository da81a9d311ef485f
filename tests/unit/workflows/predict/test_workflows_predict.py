"""`dlexp predict` in this process: the numbers of an evaluation to the last digit, and every way in and out."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import line_refused
from torch import Tensor
from typed_specs import affine_of

from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.cli.app import main
from dlexp.data.columns import tensor_of
from dlexp.data.sources.sklearn_sets import digits
from dlexp.workflows.run_record.restore import RestoreOptions, restore_run

SMALL = ("trainer.epochs=1", "-q")
CNN = ("model=simple_cnn", "model.channels=[4]", "model.fc=8", "data.eval_batch_size=5")


def run(*words: str, code: int = 0) -> None:
    """Run the words, which must end with `code`."""
    try:
        main(list(words))
    except SystemExit as stopped:
        assert (stopped.code or 0) == code
    else:
        assert code == 0


OF_TRUTH = ("row", "true", "true income", "log_loss")  # columns that need the true answer


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with people.csv, pets/, a trained run on each, and one on digits; then the data are moved away."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rng = np.random.default_rng(0)
        lines = ["id,age,city,constant,income,kind"]
        for n in range(120):
            age = "" if n % 17 == 0 else str(rng.integers(18, 80))
            city = "" if n % 17 == 0 or n % 23 == 0 else rng.choice(["Ulm", "Bonn", "Kiel"])
            lines.append(f"{n},{age},{city},1,{rng.normal(2000, 500):.3f},{'ab'[n % 2]}")
        Path("people.csv").write_text("\n".join(lines) + "\n")
        for number, name in enumerate(("dark", "light")):
            Path("pets", name).mkdir(parents=True)
            for index in range(20):
                pixels = rng.integers(100 * number, 156 + 100 * number, (10, 13, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(Path("pets", name, f"{index:02}.png"))
        people = ("data=csv", "data.path=people.csv", "model=tabular_mlp", "data.eval_batch_size=7", *SMALL)
        run("train", *people, "data.target=income", "data.columns={id:drop,kind:drop}", "--run-id", "income")
        run("train", *people, "data.target=kind", "regularization=ema", "--run-id", "kind")
        pets = ("data=image_folder", "data.path=pets", "data.image_size=8", "data.pad=1", *CNN, *SMALL)
        run("train", *pets, "trainer.precision=bf16", "--run-id", "photos")
        run("train", "data=digits", *SMALL, "--run-id", "digits")
        for name in ("income", "kind", "photos", "digits"):
            run("evaluate", name, "--checkpoint", "last" if name == "kind" else "best")
        Path("away").mkdir()
        Path("people.csv").rename("away/people.csv")
        Path("pets").rename("away/pets")
    return folder


@pytest.fixture
def here(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """In the folder `home`."""
    monkeypatch.chdir(home)
    yield home


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def evaluated(name: str) -> dict[int, dict[str, str]]:
    """Row -> what `dlexp evaluate` wrote of it on the test split."""
    path = Path("outputs/train", name, "eval/test/predictions.csv")
    return {int(row["row"]): row for row in table(path.read_text())}


def test_rows_of_a_table_have_the_digits_of_the_evaluation(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, words in (("income", ()), ("kind", ("--probabilities", "--checkpoint", "last"))):
        known = evaluated(name)
        lines = Path("away/people.csv").read_text().splitlines()
        Path("test.csv").write_text("\n".join([lines[0], *(lines[1 + row] for row in known)]) + "\n")
        capsys.readouterr()
        run("predict", name, "test.csv", *words)
        found = table(capsys.readouterr().out)
        assert len(found) == len(known) == 24
        columns = [column for column in next(iter(known.values())) if column not in OF_TRUTH]
        assert columns == (["predicted income"] if name == "income" else ["predicted", "confidence", "p(a)", "p(b)"])
        for row, expected in zip(found, known.values(), strict=True):
            assert {column: row[column] for column in columns} == {column: expected[column] for column in columns}


def test_the_whole_training_file_can_be_asked_and_order_is_kept(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("predict", "income", "away/people.csv", "--batch-size", "50")
    found = table(capsys.readouterr().out)
    assert [int(row["row"]) for row in found] == list(range(120))
    for row, expected in evaluated("income").items():  # in other batches, so to a float's precision alone
        assert float(found[row]["predicted income"]) == pytest.approx(float(expected["predicted income"]), rel=1e-5)


def test_images_have_the_digits_of_the_evaluation(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = evaluated("photos")
    names = [f"away/pets/{name}/{n:02}.png" for name in ("dark", "light") for n in range(20)]
    Path("names.txt").write_text("".join(f"{names[row]}\n" for row in known))
    run("predict", "photos", "--files-from", "names.txt", "--probabilities", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["precision"] == "bf16" and found["bad"] == 0
    rows = found["predictions"]
    assert [row["input"] for row in rows] == [names[row] for row in known]
    for row, expected in zip(rows, known.values(), strict=True):
        assert row["predicted"] == expected["predicted"]
        assert row["p(dark)"] == float(expected["p(dark)"]) and row["p(light)"] == float(expected["p(light)"])


def test_arrays_have_the_digits_of_the_evaluation(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known, split = evaluated("digits"), digits().splits["test"]
    assert list(known) == split.indices.tolist()
    np.savez("test.npz", images=tensor_of(split.inputs).numpy()[:, 0], labels=tensor_of(split.targets).numpy())
    run("predict", "digits", "test.npz", "--probabilities", "--top", "3")
    for row, expected in zip(table(capsys.readouterr().out), known.values(), strict=True):
        assert {column: row[column] for column in expected if column not in OF_TRUTH} == {
            column: value for column, value in expected.items() if column not in OF_TRUTH
        }
        numbers = sorted((-float(row[f"p({name})"]), name) for name in "0123456789")
        for place in (1, 2, 3):
            assert (-float(row[f"p_{place}"]), row[f"top_{place}"]) == numbers[place - 1]


def test_a_bad_item_has_a_row_and_the_command_ends_with_3(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mixed").mkdir(exist_ok=True)
    for n in (0, 1, 2):
        shutil.copy(f"away/pets/dark/{n:02}.png", f"mixed/{n}.png")
    Path("mixed/1.png").write_bytes(b"no image at all")
    Path("mixed/notes.md").write_text("x")
    run("predict", "photos", "mixed", "away/pets/*/1[0-9].png", "gone.png", code=3)
    captured = capsys.readouterr()
    found = table(captured.out)
    assert [row["input"] for row in found[:3]] == ["mixed/0.png", "mixed/1.png", "mixed/2.png"]
    assert found[1]["error"] and found[1]["predicted"] == ""
    gone = dict(found[-1])
    assert gone.pop("error") and gone == {"input": "gone.png", "predicted": "", "confidence": ""}
    assert len(found) == 24 and sum(bool(row["error"]) for row in found) == 2
    assert "2 samples" in captured.err and f"mixed/1.png: {found[1]['error']}" in captured.err
    assert "1 file " in captured.err


def test_when_nothing_can_be_used_that_is_told_all_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("predict", "photos", "gone.png", "gone2.png", code=3)
    assert [row["input"] for row in table(capsys.readouterr().out)] == ["gone.png", "gone2.png"]


def test_the_formats_hold_the_same_rows(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    Path("few.csv").write_text("age,city\n30,Ulm\nx,Bonn\n40,Kiel\n")
    for suffix in ("csv", "json", "jsonl", "parquet"):
        Path(f"few.out.{suffix}").unlink(missing_ok=True)
        run("predict", "income", "few.csv", "--out", f"few.out.{suffix}", "-q", code=3)
    assert capsys.readouterr().out == ""
    expected = json.loads(Path("few.out.json").read_text())
    assert [json.loads(line) for line in Path("few.out.jsonl").read_text().splitlines()] == expected
    assert parquet.read_table("few.out.parquet").to_pylist() == expected
    empty: dict[str, Any] = {"predicted income": None, "error": "line 3, column 'age': 'x' is not a finite number"}
    assert expected[1] == {"input": "few.csv", "row": 1, **empty}
    texts = [{key: "" if value is None else str(value) for key, value in row.items()} for row in expected]
    assert table(Path("few.out.csv").read_text()) == texts


def test_rows_come_from_standard_input_too(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"age;city\n30;Ulm\n")))
    run("predict", "income", "-", "--separator", ";", "--format", "jsonl")
    (line,) = capsys.readouterr().out.splitlines()
    Path("one.csv").write_text("city,age\nUlm,30\n")
    run("predict", "income", "one.csv", "--format", "jsonl")
    assert json.loads(line) == json.loads(capsys.readouterr().out) | {"input": "-"}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("photos",), 2, "INPUT"),
        (("nowhere", "a.png"), 2, "nowhere"),
        (("photos", "a.png", "--checkpoint", "bets"), 2, "best?"),
        (("photos", "a.png", "trainer.devic=cpu"), 2, "trainer.device?"),
        (("photos", "a.png", "--format", "xml"), 2, "--format=xml"),
        (("photos", "a.png", "--out", "a.xml"), 2, "--out=a.xml"),
        (("photos", "a.png", "--format", "parquet"), 2, "--out"),
        (("photos", "-"), 3, "--files-from -"),
        (("photos", "-", "--files-from", "-"), 2, "--files-from=-"),
        (("income", "away/people.csv", "--top", "2"), 2, "--top=2"),
        (("income", "away/people.csv", "--out", "away/people.csv"), 2, "--force"),
        (("income", "gone.csv"), 3, "gone.csv"),
        (("income", "away/pets"), 3, "away/pets"),
        (("digits", "away/people.csv"), 3, "1 sample"),
    ],
)
def test_nonsense_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, message: str
) -> None:
    run("predict", *words, code=code)
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_file_that_is_refused_midway_leaves_no_output(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("late.csv").write_text("age,city\n30,Ulm\n")
    Path("wrong.csv").write_text("age,town\n30,Ulm\n")
    run("predict", "income", "late.csv", "wrong.csv", "--out", "never.csv", code=3)
    assert "'city'" in capsys.readouterr().err
    assert not Path("never.csv").exists() and not list(Path.cwd().glob(".tmp-*"))


def test_an_edited_configuration_is_refused_until_allowed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(home / "outputs/train/income", "edited")
    text = Path("edited/config.yaml").read_text()
    Path("edited/config.yaml").write_text(text.replace("activation: relu", "activation: tanh"))
    Path("one.csv").write_text("city,age\nUlm,30\n")
    words = ("predict", "edited", "one.csv")
    line_refused(capsys, *words, code="data-changed", where="model.activation", remedy="--allow-changes")
    run("predict", "edited", "one.csv", "--allow-changes")


def test_a_run_of_an_earlier_version_takes_what_it_lacks_from_its_data(home: Path) -> None:
    shutil.copytree(home / "outputs/train/digits", "old")
    path = Path("old/preprocessing.json")
    found = json.loads(path.read_text())
    path.write_text(json.dumps({key: found[key] for key in ("kind", "white", "mean", "std")}))
    old, new = restore_run(Path("old"), RestoreOptions()), restore_run(home / "outputs/train/digits", RestoreOptions())
    assert old.experiment.bundle.spec == new.experiment.bundle.spec
    assert (
        torch.equal(affine_of(old.preprocess).scale, affine_of(new.preprocess).scale)
        and affine_of(old.preprocess).scale.shape == ()
    )


def test_metric_learning_puts_out_the_embeddings_of_the_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("data=digits", "task=metric_learning", "loss=triplet", "task.embedding_size=3", "model.hidden=[8]")
    run("train", *words, *SMALL, "--run-id", "near")
    run("evaluate", "near")
    split = digits().splits["test"]
    np.save("test.npy", tensor_of(split.inputs).numpy())
    capsys.readouterr()
    run("predict", "near", "test.npy")
    for row, expected in zip(table(capsys.readouterr().out), evaluated("near").values(), strict=True):
        assert [row[f"e{n}"] for n in range(3)] == [expected[f"e{n}"] for n in range(3)]
    run("predict", "near", "test.npy", "--probabilities", code=2)


def test_the_stored_normalization_has_the_bits_and_the_memory_of_training(home: Path) -> None:
    stored = restore_run(home / "outputs/train/photos", RestoreOptions())
    scale: Tensor = affine_of(stored.preprocess).scale
    assert scale.shape == (3, 8, 8) and scale.permute(1, 2, 0).is_contiguous()
    assert RunDir.find(home / "outputs/train/photos").path == stored.run.path
