"""Labeled series of .ts files in the form of the archives, and what is wrong with such files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from dlexp.cli.app import main
from dlexp.data.columns import read_all
from dlexp.data.sources.series.labeled_series import series_classes, target_kind
from dlexp.errors import ConfigError, DataError
from dlexp.sequence_specs import SeriesSpec
from dlexp.specs import ClassSpec, ValueSpec
from dlexp.types import Sequences

HEADER = """#A comment of several words
@problemName Waves
@timeStamps false
@missing true
@univariate false
@dimensions 2
@equalLength false
@classLabel true slow fast
@data
"""
VALUES = "@problemName Load\n@timestamps false\n@univariate true\n@targetlabel true\n@data\n"


def waves(count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        steps = np.arange(rng.integers(12, 30)) * (0.3 + 0.7 * (number % 2)) + rng.uniform(0, 6)
        channels = (",".join(f"{value:.3f}" for value in wave) for wave in (np.sin(steps), 5 + np.cos(steps)))
        found.append(":".join((*channels, ("slow", "fast")[number % 2])))
    return found


def written(path: Path, lines: list[str], header: str = HEADER) -> str:
    path.write_text(header + "\n".join(lines) + "\n")
    return str(path)


def test_series_of_unlike_lengths_are_scaled_by_training_and_keep_the_order_of_classes(tmp_path: Path) -> None:
    train = written(tmp_path / "W_TRAIN.ts", waves(40, 0))
    test = written(tmp_path / "W_TEST.ts", ["1,2,3:4,5,6:fast", "1,2:3,4:slow"])
    bundle = series_classes(path=train, test_path=test)
    assert isinstance(bundle.spec.targets, ClassSpec) and bundle.spec.targets.names == ("slow", "fast")
    assert isinstance(bundle.spec.inputs, SeriesSpec) and bundle.spec.inputs.num_channels == 2
    assert {name: len(split) for name, split in bundle.splits.items()} == {"train": 36, "val": 4, "test": 2}
    seen = read_all(bundle.splits["train"].inputs)
    assert isinstance(seen, Sequences)
    flat = seen.values[seen.mask]
    torch.testing.assert_close(flat.mean(dim=0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(flat.std(dim=0, correction=0), torch.ones(2), atol=1e-5, rtol=0)
    held = read_all(bundle.splits["test"].inputs)
    assert isinstance(held, Sequences) and held.lengths.tolist() == [3, 2]
    mean, std = (torch.tensor(bundle.preprocessing[name]) for name in ("mean", "std"))
    expected = torch.tensor([[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]])
    torch.testing.assert_close(held.values[0].double() * std + mean, expected.double(), atol=1e-4, rtol=0)
    assert bundle.named is not None
    assert bundle.named(bundle.splits["test"].indices.numpy()) == ["W_TEST.ts line 10", "W_TEST.ts line 11"]


def test_a_test_file_beside_the_training_file_is_told_and_not_read(tmp_path: Path) -> None:
    train = written(tmp_path / "W_TRAIN.ts", waves(40, 0))
    written(tmp_path / "W_TEST.ts", waves(10, 1))
    (note,) = [note for note in series_classes(path=train).notes if "test_path" in note]
    assert "W_TEST.ts is not read" in note


def test_values_are_regressed(tmp_path: Path) -> None:
    path = written(tmp_path / "load.ts", [f"{n},{n + 1},{n + 2}:{n / 2}" for n in range(20)], VALUES)
    assert target_kind({"path": path, "target_kind": "auto"}) == "value"
    bundle = series_classes(path=path)
    assert isinstance(bundle.spec.targets, ValueSpec) and bundle.spec.targets.names == ("label",)
    with pytest.raises(ConfigError, match="of kind value"):
        series_classes(path=path, target_kind="class")


def test_missing_values_are_refused_filled_or_left_out(tmp_path: Path) -> None:
    lines = waves(20, 0)
    lines[3] = "1,?,3,?:?,2,4,NaN:fast"
    path = written(tmp_path / "w.ts", lines)
    with pytest.raises(DataError) as refused:
        series_classes(path=path)
    assert refused.value.row == 13
    assert "data.gaps=interpolate" in str(refused.value)
    whole = series_classes(path=path, gaps="interpolate", standardize=False)
    rows = {int(row): at for split in whole.splits.values() for at, row in [*enumerate(split.indices)]}
    assert len(rows) == 20
    for name, second in (("interpolate", [1.0, 2.0, 3.0]), ("forward", [1.0, 1.0, 3.0])):
        bundle = series_classes(path=path, gaps=name, standardize=False)
        (split,) = [split for split in bundle.splits.values() if 3 in split.indices]
        found = split.select(torch.tensor([split.indices.tolist().index(3)])).inputs
        one = next(iter(found.read([slice(0, 1)])))
        assert isinstance(one, Sequences)
        assert one.lengths.tolist() == [3]  # the fourth step has no value at all
        assert one.values[0, :3, 0].tolist() == second
        assert one.values[0, :3, 1].tolist() == [2.0, 2.0, 4.0]
    skipped = series_classes(path=path, gaps="skip")
    assert sum(len(split) for split in skipped.splits.values()) == 19
    assert skipped.left_out == (f"{path} line 13",)
    assert any("1 series with missing values left out" in note for note in skipped.notes)


@pytest.mark.parametrize(
    ("lines", "header", "row", "words"),
    [
        (["1,2:3,4:middle"], HEADER, 10, "unknown class 'middle'"),
        (["1,x:3,4:fast"], HEADER, 10, "channel 1 must be numbers"),
        (["1,inf:3,4:fast"], HEADER, 10, "infinite"),
        (["1,2:3:fast"], HEADER, 10, "must have equally many"),
        (["1,2:fast"], HEADER, 10, "must have 2 channels and a label"),
        (["?,?:?,?:fast"], HEADER, 10, "no value"),
        (["1,2:3,4:fast"], "@problemNam W\n@data\n", 1, "@problemName"),
        (["1,2:3,4:fast"], "@timeStamps true\n@data\n", 1, "time stamps"),
        (["1,2:3,4:fast"], "@dimensions two\n@data\n", 1, "number of channels"),
        (["1,2:3,4:fast"], "@problemName W\n", 2, "Write @data"),
        (["1,2:3,4:fast"], "@problemName W\n@data\n", None, "data=series"),
        (["1,2:many"], VALUES, 6, "finite number, got 'many'"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, lines: list[str], header: str, row: int | None, words: str
) -> None:
    more = waves(20, 0) if header == HEADER else []
    path = written(tmp_path / "w.ts", [*lines, *more], header)
    with pytest.raises(DataError) as refused:
        series_classes(path=path)
    assert words in str(refused.value)
    assert refused.value.row == row
    assert refused.value.file == Path(path)


def test_files_of_unlike_problems_do_not_go_together(tmp_path: Path) -> None:
    train = written(tmp_path / "w.ts", waves(20, 0))
    other = written(tmp_path / "v.ts", ["1,2:fast", "1,2:slow"], "@classLabel true slow fast\n@data\n")
    with pytest.raises(DataError, match="1 channel, and"):
        series_classes(path=train, test_path=other)
    values = written(tmp_path / "u.ts", ["1,2:3"], VALUES)
    with pytest.raises(DataError, match="of kind value"):
        series_classes(path=train, test_path=values)


def test_series_are_learned_and_new_files_are_predicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    train, test = written(tmp_path / "W_TRAIN.ts", waves(200, 0)), written(tmp_path / "W_TEST.ts", waves(30, 1))
    words = (f"data.path={train}", f"data.test_path={test}", "model.units=16", "model.layers=1", "optim.lr=0.02")
    run("train", "data=series_classes", *words, "trainer.epochs=8", "trainer.threads=1", "-q")
    capsys.readouterr()
    new = written(tmp_path / "new.ts", [*waves(20, 2), "1,?,2:2,3,4:slow", ",".join("1" * 40) + ":" + ",".join("1" * 40)
                  + ":fast"])  # fmt: skip
    run("predict", "outputs/latest", new, code=3)
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    right = [row["predicted"] == ("slow", "fast")[number % 2] for number, row in enumerate(rows[:20])]
    assert np.mean(right) >= 0.9
    assert rows[20]["error"] == "the series has missing values"
    assert "40 steps" in rows[21]["error"]
    assert [row["line"] for row in rows] == [str(number) for number in range(10, 32)]


def run(*words: str, code: int = 0) -> None:
    try:
        main(list(words))
    except SystemExit as stopped:
        assert (stopped.code or 0) == code
    else:
        assert code == 0
