"""Images with texts: the file, the embedded set, and the commands."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import line_refused

from dlexp.cli.app import main
from dlexp.data.bundle import DataBundle
from dlexp.data.columns import read_all, tensor_of
from dlexp.data.sources.captions.caption_file import captions
from dlexp.data.sources.captions.digit_captions import digit_captions
from dlexp.data.sources.sklearn_sets import digits
from dlexp.errors import ConfigError, DataError
from dlexp.sequence_specs import CaptionSpec

TEXTS = ["a red square number 0", "a green square number 1"]
COLORS = ("red", "green", "blue")
Row = tuple[str, str, str]


def rows_of(count: int) -> list[Row]:
    return [(f"img/{n}.png", f"a {COLORS[n % 3]} square number {n % 7}", COLORS[n % 3]) for n in range(count)]


def write(folder: Path, rows: list[Row], name: str = "captions.csv", header: str = "image,text,color") -> None:
    (folder / "img").mkdir(exist_ok=True, parents=True)
    for file, _, color in rows:
        pixels = np.full((12, 10, 3), 20 + int(file.split("/")[-1].split(".")[0]), dtype=np.uint8)
        pixels[..., COLORS.index(color) if color in COLORS else 0] = 230
        Image.fromarray(pixels).save(folder / file)
    if name.endswith(".jsonl"):
        keys = header.split(",")
        lines = [json.dumps(dict(zip(keys, row, strict=True))) for row in rows]
    else:
        lines = [header, *(",".join(row) for row in rows)]
    (folder / name).write_text("\n".join(lines) + "\n")


def texts_of(bundle: DataBundle, split: str) -> list[str]:
    spec, found = bundle.spec.targets, read_all(bundle.splits[split].targets)  # type: ignore[arg-type]
    assert isinstance(spec, CaptionSpec) and isinstance(found, dict)
    pairs = zip(found["values"].tolist(), found["lengths"].tolist(), strict=True)
    return [spec.vocabulary.decode(ids[:length]) for ids, length in pairs]


@pytest.mark.parametrize("name", ["captions.csv", "captions.jsonl"])
def test_a_folder_is_read_with_each_text_beside_its_image(tmp_path: Path, name: str) -> None:
    rows = rows_of(30)
    write(tmp_path, rows, name)
    bundle = captions(path=str(tmp_path), label="color", image_size=8)
    assert sum(bundle.sizes().values()) == 30 and bundle.spec.inputs.shape == (3, 8, 8)
    for split, part in bundle.splits.items():
        pixels = tensor_of(part.inputs)
        for text, number, image in zip(texts_of(bundle, split), part.indices.tolist(), pixels, strict=True):
            assert text == rows[number][1]
            assert COLORS[int(image.float().mean((1, 2)).argmax())] in text
    assert isinstance(bundle.spec.targets, CaptionSpec)
    assert sorted(bundle.spec.targets.names) == sorted(COLORS)
    assert isinstance(CaptionSpec.from_plain(bundle.spec.targets.to_plain()), CaptionSpec)
    assert bundle.named is not None and bundle.named(np.array([0]))


def test_the_vocabulary_is_that_of_the_training_split(tmp_path: Path) -> None:
    write(tmp_path, [(file, f"{text} rare{n}", color) for n, (file, text, color) in enumerate(rows_of(30))])
    bundle = captions(path=str(tmp_path), image_size=8)
    spec = bundle.spec.targets
    assert isinstance(spec, CaptionSpec)
    known = {token for token in spec.vocabulary.tokens if token.startswith("rare")}
    assert known == {f"rare{number}" for number in bundle.splits["train"].indices.tolist()}


def test_the_texts_of_an_image_are_in_one_split(tmp_path: Path) -> None:
    rows = rows_of(20)
    write(tmp_path, [row for row in rows for _ in range(3)])
    bundle = captions(path=str(tmp_path), image_size=8)
    seen = [{rows[number // 3][0] for number in part.indices.tolist()} for part in bundle.splits.values()]
    assert sum(map(len, seen)) == len(set().union(*seen)) == 20
    assert any("split by image" in note for note in bundle.notes)
    parts = "\n".join(f"{row[0]},{row[1]},{('train', 'val', 'test')[n]}" for row in rows for n in range(3))
    (tmp_path / "captions.csv").write_text(f"image,text,part\n{parts}\n")
    with pytest.raises(DataError, match="two splits"):
        captions(path=str(tmp_path), image_size=8, split_column="part")


def test_mistakes_are_told_with_row_and_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"captions\.csv") as caught:
        captions(path=str(tmp_path))
    assert "image,text" in caught.value.remedy
    rows = rows_of(12)
    write(tmp_path, rows)
    (tmp_path / "img/4.png").unlink()
    (tmp_path / "img/7.png").unlink()
    with pytest.raises(DataError, match=r"2 files do not \(lines 6, 9\)") as caught:
        captions(path=str(tmp_path))
    assert (caught.value.row, caught.value.column) == (6, "image")
    write(tmp_path, rows)
    (tmp_path / "img/4.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"4\.png"):
        captions(path=str(tmp_path))
    write(tmp_path, [*rows[:5], (rows[5][0], " ", "red"), *rows[6:]])
    with pytest.raises(DataError, match="empty") as caught:
        captions(path=str(tmp_path))
    assert (caught.value.row, caught.value.column) == (7, "text")
    write(tmp_path, rows, header="picture,text,color")
    with pytest.raises(DataError, match="no column is called image") as caught:
        captions(path=str(tmp_path))
    assert caught.value.remedy == "Name it: data.image=picture"
    assert captions(path=str(tmp_path), image="picture", image_size=8).sizes()
    with pytest.raises(DataError, match="colour"):
        captions(path=str(tmp_path), image="picture", label="colour")
    with pytest.raises(ConfigError, match="prompts"):
        captions(path=str(tmp_path), image="picture", prompts=["a photo"])


def test_the_texts_of_digits_say_what_is_there() -> None:
    bundle, plain = digit_captions(), digits()
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    thick = []
    for name, part in bundle.splits.items():
        assert part.indices.tolist() == plain.splits[name].indices.tolist()
        ink = tensor_of(part.inputs).long().flatten(1).sum(1)
        labels = tensor_of(plain.splits[name].targets).tolist()
        for text, total, label in zip(texts_of(bundle, name), ink.tolist(), labels, strict=True):
            assert words[label] in text.split() and ("thick" in text) == (total >= 313)
            thick.append("thick" in text)
    assert 0.45 < sum(thick) / len(thick) < 0.55


def run(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert not ended.value.code


@pytest.mark.usefixtures("own_folder")
def test_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    write(Path("set"), rows_of(48))
    words = ["data=captions", "data.path=set", "data.label=color", "data.image_size=8", "data.augment=none"]
    sizes = ["model.token=16", "model.text_blocks=1", "optim.lr=0.01", "trainer.epochs=40"]
    monitor = "trainer.monitor=val/zero_shot_accuracy"
    run("train", *words, *sizes, monitor, "trainer.device=cpu", "data.batch_size=12", "--run-id", "run", "-q")
    capsys.readouterr()
    run("evaluate", "run", "--json")
    report = json.loads(capsys.readouterr().out)
    assert report["metrics"]["zero_shot_accuracy"] >= 0.9  # a third by chance
    assert report["intervals"]["zero_shot_accuracy"]["low"] < report["metrics"]["zero_shot_accuracy"]
    rows = list(csv.DictReader(Path("outputs/train/run/eval/test/predictions.csv").read_text().splitlines()))
    assert rows and set(rows[0]) == {"row", "text", "nearest text", "place of its text"}
    run("predict", "run", "set/img/0.png", "set/img/1.png", "--text", TEXTS[0], "--text", TEXTS[1], "--json")
    found = json.loads(capsys.readouterr().out)["predictions"]
    assert [row["predicted"] for row in found] == TEXTS
    run("predict", "run", "set/img/2.png", "--probabilities", "--json")
    (row,) = json.loads(capsys.readouterr().out)["predictions"]
    assert row["predicted"] == "blue" and row["p(blue)"] == row["confidence"]
    line_refused(capsys, "predict", "run", "--text", "red", code="missing-value", where="--text")
    line_refused(capsys, "predict", "run", "set/img/0.png", "--text", "elephants", code="unknown-value", where="--text")


@pytest.mark.usefixtures("own_folder")
def test_other_combinations_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    line_refused(capsys, "train", "model=clip", code="incompatible-data", where="model")
    line_refused(capsys, "train", "data=digit_captions", "model=vit", code="incompatible-data")
    line_refused(capsys, "train", "data=digit_captions", "task=classification", code="incompatible-data")
    line_refused(capsys, "train", "data=digits", "task=contrastive", code="incompatible-data")
    line_refused(
        capsys,
        "train",
        "data=digit_captions",
        "regularization.mixup=0.2",
        code="incompatible-data",
        where="regularization.mixup",
        remedy="Remove regularization.mixup",
    )
