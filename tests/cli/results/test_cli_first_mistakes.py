"""What a newcomer meets: damaged sweeps, a file named outputs, dry runs of an ID, full outputs, wrong tables."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from refusals import line_refused

from dlexp.cli.app import main
from dlexp.data.inference.tables import TableInput
from dlexp.data.tables.features.encodings import NumberColumn
from dlexp.data.tables.files.table_form import TableForm
from dlexp.data.tables.files.text_file import TextFile
from dlexp.data.tables.spelling import Marks
from dlexp.errors import DataError

TINY = ("data=iris", "trainer.epochs=1", "model.hidden=[4]")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DLEXP_RUNS_DIR", raising=False)
    return tmp_path


def ended(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


def sweep(**files: str) -> str:
    folder = Path("outputs/sweep/s")
    (folder / "000-mlp").mkdir(parents=True)
    (folder / "000-mlp/config.yaml").write_text("seed: 1\n")
    for name, text in files.items():
        (folder / f"{name}.json").write_text(text)
    return str(folder)


@pytest.mark.parametrize("command", [("runs", "show"), ("report",), ("compare",)])
@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"jobs": "{}", "sweep": '{"x'}, "sweep.json"),
        ({"jobs": '{"x', "sweep": "{}"}, "jobs.json"),
        ({"sweep": "{}"}, "jobs.json"),
    ],
)
def test_a_damaged_sweep_names_its_file(
    command: tuple[str, ...], files: dict[str, str], named: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line_refused(capsys, *command, sweep(**files), code="corrupted", where=named, exit_code=1)


def test_a_file_in_the_place_of_outputs_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("outputs").touch()
    for words in (("runs",), ("report",), ("train", *TINY)):
        line_refused(capsys, *words, code="invalid-type", where="outputs", remedy="mv outputs outputs.old", exit_code=1)


def test_a_dry_run_of_an_id_sees_its_broken_run(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("train", "--run-id", "a", *TINY)
    assert ended(*words, "--dry-run") == 0
    assert ended(*words, "-q") == 0
    assert ended(*words, "--dry-run") == 0
    line_refused(capsys, *words, "optim.lr=3", "--dry-run", code="incompatible-run", where="optim.lr")
    for path in Path("outputs/train/a/checkpoints").glob("*.pt"):
        path.write_text("x")
    line_refused(capsys, *words, "--dry-run", code="corrupted", where="last.pt", exit_code=1)
    assert Path("outputs/train/a/checkpoints/last.pt").is_file()


def test_a_result_that_could_not_be_printed_is_in_the_status(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        encoding = "utf-8"

        def write(self, _text: str) -> int:
            raise OSError(28, os.strerror(28))

        def flush(self) -> None: ...
        def isatty(self) -> bool:
            return False

    monkeypatch.setattr(sys, "stdout", Full())
    code = ended("train", "--run-dir", "r", *TINY, "--json")
    status = json.loads(Path("r/status.json").read_text())
    assert (code, status["state"], status["exit_code"]) == (1, "finished", 1)
    assert "printed" in status["reason"]


def test_changes_are_not_printed_before_a_refusal(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("train", "--run-dir", "r", *TINY, "-q") == 0
    capsys.readouterr()
    assert ended("train", "--resume", "r", "trainer.test=true") == 2
    assert "changed:" not in capsys.readouterr().err
    assert ended("train", "--resume", "r", "trainer.epochs=2") == 0
    assert "changed: trainer.epochs: 1 -> 2" in capsys.readouterr().err


def test_all_differences_of_columns_are_in_one_message(home: Path) -> None:
    columns = (NumberColumn("x", 0.0, 0.0, 1.0), NumberColumn("y", 0.0, 0.0, 1.0))
    table = TableInput(columns, frozenset(), frozenset([""]), TableForm())
    Path("t.csv").write_text("y,a,b\n1,2,3\n")
    with pytest.raises(DataError) as caught:
        table.check("t.csv")
    assert caught.value.code == "incompatible-data"
    assert "missing: 'x'; unknown: 'a', 'b'" in str(caught.value)
    Path("t.csv").write_text("x;y\n1;2\n")
    table.check("t.csv")  # the separator is detected


def test_rows_of_nothing_but_marks_are_named(home: Path) -> None:
    Path("t.csv").write_text("a,b\n1,x\nNA,?\n\n,\n2,y\nNA,NA\n")
    _, lines, notes = TextFile(Path("t.csv"), TableForm(), Marks(["NA", "?"])).read(["a", "b"])
    assert lines.tolist() == [2, 6]
    assert len(notes) == 1 and "lines 3, 7" in notes[0]


OWN = """
from torch import nn

class Net(nn.Module):
    def __init__(self, in_features, num_outputs):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(in_features + 1, num_outputs))

    def forward(self, inputs):
        return self.layers(inputs)
"""


def test_the_layer_that_fails_is_named_with_its_input_and_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("own_net.py").write_text(OWN)
    Path("conf/model").mkdir(parents=True)
    Path("conf/model/own.yaml").write_text("_target_: own_net.Net\n")
    words = ("train", "--dry-run", "data=iris", "model=own", "--config-dir", "conf", "--trust", "own_net")
    error = line_refused(capsys, *words, code="incompatible-data", where="model")
    rule = error["problems"][0]["rule"]
    assert "layers.1 (Linear), input 2 x 4" in rule
    assert "own_net.py:10" in rule


def test_data_that_was_moved_is_named_with_the_key_of_its_place(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("d").mkdir()
    Path("d/a.csv").write_text("x,y\n" + "".join(f"{n % 7},{'ab'[n % 2]}\n" for n in range(60)))
    assert ended("train", "-q", "data=csv", "data.path=d/a.csv", "data.target=y", *TINY[1:], "--run-dir", "r") == 0
    Path("d").rename("e")
    line_refused(capsys, "evaluate", "r", code="not-found", where="a.csv", remedy="data.path=", exit_code=3)
    line_refused(capsys, "evaluate", "r", "s", code="invalid-syntax", where="s", remedy="each run")
    assert ended("evaluate", "r", "data.path=e/a.csv", "--resamples", "0") == 0
