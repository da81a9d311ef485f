"""A run of the user's own file is called by it: in the directory, the header, the table of runs and the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlexp.cli.app import main


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    captured = capsys.readouterr()
    assert not stopped.value.code, captured.err
    return captured.out, captured.err


def test_a_run_is_called_by_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("My people (2024).csv").write_text("age,y\n" + "".join(f"{n * 37 % 53},{n % 2}\n" for n in range(40)))
    words = ("data=csv", "data.path='My people (2024).csv'", "data.target=y", "trainer.epochs=1", "trainer.device=cpu")
    _, told = run(capsys, "train", *words)
    (folder,) = Path("outputs/train").iterdir()
    assert "-mlp-My-people-2024-" in folder.name
    assert "data: My-people-2024 (csv), " in told
    for chosen in (["--data", "csv"], ["--data", "My-people-2024"], ["--where", "data=My*"], []):
        (row,) = json.loads(run(capsys, "runs", *chosen, "--json")[0])["runs"]
        assert (row["data"], row["options"]["data"]) == ("My-people-2024", "csv")
    for condition in ("data!=csv", "data!=My-people-2024", "data=digits"):
        assert json.loads(run(capsys, "runs", "--where", condition, "--json")[0])["runs"] == []
    run(capsys, "report", folder.name)
    assert "My-people-2024" in (folder / "report.html").read_text()


def test_files_of_a_sweep_name_its_jobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("first", "second"):
        Path(f"{name}.csv").write_text("age,y\n" + "".join(f"{n * 37 % 53},{n % 2}\n" for n in range(40)))
    words = ("data=csv", "data.path=first.csv,second.csv", "data.target=y", "trainer.epochs=1", "trainer.device=cpu")
    run(capsys, "train", "-m", *words)
    (folder,) = Path("outputs/sweep").iterdir()
    assert sorted(path.parent.name for path in folder.glob("*/config.yaml")) == ["000-mlp-first", "001-mlp-second"]
