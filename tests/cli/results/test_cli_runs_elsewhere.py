"""Runs of --run-dir outside outputs/: listed, found by name, and what happens when they are moved or deleted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dlexp.cli.app import main

QUICK = ("data=iris", "model.hidden=[4]", "trainer.epochs=1", "trainer.device=cpu", "-q")


class Line:
    """Runs words of the command line in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str, code: int = 0) -> tuple[str, str]:
        with pytest.raises(SystemExit) as stopped:
            main(list(words))
        captured = self._capsys.readouterr()
        assert (stopped.value.code or 0) == code, captured.err
        return captured.out, captured.err

    def listed(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("runs", "--json")[0])
        return found


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("DLEXP_RUNS_DIR", raising=False)
    return Line(capsys)


def test_a_run_elsewhere_is_listed_and_found_by_name(line: Line) -> None:
    line("train", *QUICK, "--run-dir", "../my run")
    line("train", *QUICK, "--run-dir", "outputs/mine")  # inside, but not where runs usually are
    place = str(Path("../my run").resolve())
    assert place in [row["path"] for row in line.listed()["runs"]]
    shown = json.loads(line("runs", "show", "my run", "--json")[0])
    assert shown["path"] == place
    line("evaluate", "my run", "-q")


def test_groups_and_sweeps_elsewhere_list_their_runs(line: Line) -> None:
    line("train", *QUICK, "--seeds", "2", "--run-dir", "../group")
    line("train", "-m", *QUICK, "optim.lr=0.01,0.02", "--run-dir", "../sweep")
    names = [row["name"] for row in line.listed()["runs"]]
    assert sorted(names) == ["000-mlp-iris", "001-mlp-iris", "group/seed-42", "group/seed-43"]
    assert len(list(Path("outputs/.elsewhere").iterdir())) == 2


def test_one_that_moved_is_named_and_can_be_forgotten(line: Line) -> None:
    line("train", *QUICK, "--run-dir", "../a")
    shutil.move("../a", "../b")
    found = line.listed()
    assert found["runs"] == []
    ((path, reason),) = [(each["path"], each["reason"]) for each in found["broken"]]
    assert "moved or deleted" in reason and f"dlexp runs rm {path}" in reason
    _, told = line("evaluate", "latest", code=2)
    assert "moved or deleted" in told
    _, told = line("evaluate", path, code=2)
    assert "moved or deleted" in told
    line("runs", "rm", path, "--yes")
    assert line.listed() == {"runs": [], "broken": []}
    line("train", "--resume", "../b", "-q")  # finished, so nothing is done
    assert Path("../b/summary.json").is_file()


def test_pruning_leaves_runs_elsewhere_and_rm_deletes_them(line: Line) -> None:
    for name in ("a", "b"):
        line("train", *QUICK, "--run-dir", f"../{name}")
    plan = json.loads(line("runs", "prune", "--keep-best", "1", "--yes", "--json")[0])
    assert plan["removed"] == [] and any("outside" in kept["why"] for kept in plan["kept"])
    line("runs", "rm", "../a", "--yes")
    assert not Path("../a").exists()
    assert [row["name"] for row in line.listed()["runs"]] == ["b"] and line.listed()["broken"] == []


def test_a_run_is_trained_where_the_register_cannot_be_written(line: Line) -> None:
    Path("outputs").write_text("a file")
    _, told = line("train", *QUICK, "--run-dir", "../a")
    assert "dlexp runs will not list this run" in told
    assert Path("../a/summary.json").is_file()
