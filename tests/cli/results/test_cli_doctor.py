"""`dlexp doctor` from the command line: after a run, before one, files, the page, and the mistakes that people make."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from refusals import line_refused

from dlexp.cli.app import main

SMALL = ("data=wine", "model=mlp", "model.hidden=[16]", "trainer.device=cpu")
FAULT = ("model=mlp", "model.hidden=[32]", "trainer.device=cpu", "optim.lr=10", "trainer.epochs=3")
KEYS = ("code", "severity", "what", "evidence", "cause", "remedy", "line", "confidence", "source")


def typed(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


def answered(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert typed(*words, "--json") == code
    told = capsys.readouterr()
    assert not told.err  # no progress with --json
    found: dict[str, Any] = json.loads(told.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a rate that is far too high."""
    place = tmp_path_factory.mktemp("diagnosed")
    assert typed("train", "-q", *FAULT, "-o", str(place / "fault")) == 0
    return place


@pytest.fixture
def fault(trained: Path, tmp_path: Path) -> str:
    return str(shutil.copytree(trained / "fault", tmp_path / "outputs" / "train" / "fault"))


def test_a_finished_run_is_diagnosed_in_json_in_its_file_on_its_page_and_in_words(
    fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = (Path(fault) / "checkpoints" / "last.pt").read_bytes()
    found = answered(capsys, "doctor", fault, "trainer.device=cpu")
    assert found["findings"] and found["rules"] >= 1 and found["counts"]["error"] + found["counts"]["warning"] >= 1
    for finding in found["findings"]:
        assert {"code", "severity", "what", "evidence", "cause", "remedy", "line", "confidence", "source"} <= set(
            finding
        )
        assert finding["evidence"] and all(one["text"] for one in finding["evidence"])
    assert found["findings"][0]["code"] in ("rate_too_high", "not_finite")
    line = shlex.split(found["findings"][0]["line"])
    assert line[:3] == ["dlexp", "train", "--from"] and any(word.startswith("optim.lr=") for word in line)
    assert json.loads((Path(fault) / "doctor.json").read_text()) == found
    assert (Path(fault) / "checkpoints" / "last.pt").read_bytes() == weights
    assert typed("report", fault) == 0
    page = (Path(fault) / "report.html").read_text()
    assert "Diagnosis" in page and found["findings"][0]["code"] in page and "dlexp train --from" in page
    assert "cannot be read" not in page
    capsys.readouterr()
    assert typed("doctor", "fault") == 0  # by its name
    told = capsys.readouterr()
    words = (
        found["findings"][0]["code"],
        "evidence",
        "cause",
        "remedy",
        "confidence",
        "dlexp train --from",
        "doctor.json",
    )
    assert all(word in told.out for word in words)
    assert "updates" in told.err and "data and network" in told.err  # progress


def test_without_arguments_the_latest_run_is_diagnosed(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("train", "-q", *SMALL, "trainer.epochs=3") == 0
    found = answered(capsys, "doctor")
    assert Path(found["run"]).resolve() == Path("outputs/latest").resolve()
    assert "training loss with the last weights" in found["measures"]
    remove = sorted(path.name for path in Path(found["run"]).iterdir())
    assert "doctor.json" in remove
    assert typed("runs", "rm", "-y", found["run"]) == 0 and not Path(found["run"]).exists()


def test_before_a_run_the_exit_code_says_whether_it_may_start(capsys: pytest.CaptureFixture[str]) -> None:
    good = answered(capsys, "doctor", *SMALL, "trainer.epochs=3")
    assert good["may_start"] and [row["name"] for row in good["checks"]][:2] == ["data", "shapes"]
    bad = answered(capsys, "doctor", *FAULT, code=1)
    assert not bad["may_start"]
    assert bad["findings"][0]["line"].startswith("dlexp train model=mlp")
    assert not Path("outputs").exists()
    capsys.readouterr()
    assert typed("doctor", *FAULT) == 1
    told = capsys.readouterr().out
    assert "learning rate" in told and "initial loss" in told and "not yet" in told
    assert typed("doctor", *SMALL, "trainer.epochs=3", "-q") == 0
    quiet = capsys.readouterr()
    assert "may start:" in quiet.out and "dlexp train data=wine" in quiet.out and not quiet.err


def test_a_configuration_file_is_checked_before_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ("data: wine", "model: mlp", "model.hidden: [8]", "trainer: {epochs: 2, device: cpu}")
    Path("mine.yaml").write_text("\n".join(lines) + "\n")
    found = answered(capsys, "doctor", "--config", "mine.yaml")
    assert found["may_start"] and "data=wine" in found["line"]


def test_mistakes_of_the_line(fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    line_refused(capsys, "doctor", "nosuch", code="not-found")
    line_refused(
        capsys, "doctor", fault, "optim.lr=1", code="not-supported", where="optim.lr", remedy="doctor optim.lr=1"
    )
    line_refused(capsys, "doctor", fault, "trainer.devce=cpu", code="not-supported", remedy="trainer.device")
    line_refused(capsys, "doctor", fault, fault, code="invalid-syntax")
    line_refused(capsys, "doctor", "trainer.device=cpu", fault, code="invalid-syntax", remedy=f"doctor {fault} trainer")
    line_refused(capsys, "doctor", "model=resnet81", code="unknown-option", where="model", remedy="resnet18")
    line_refused(capsys, "doctor", "mine.yaml", code="invalid-value", where="RUN", remedy="--config")
    line_refused(capsys, "doctor", fault, "--config", "mine.yaml", code="cannot-combine", where="--config")


def test_the_lines_of_a_run_whose_data_moved_name_the_new_place(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{i % 7},{(5 * i) % 11},{'yes' if i % 7 > 3 else 'no'}" for i in range(120)]
    Path("old.csv").write_text("\n".join(["a,b,label", *rows]) + "\n")
    csv = ("data=csv", "data.path=old.csv", "data.target=label", "model=mlp", "model.hidden=[8]", "trainer.device=cpu")
    assert typed("train", "-q", *csv, "trainer.epochs=2", "optim.lr=100", "-o", "run") == 0
    Path("old.csv").rename("new place.csv")
    found = answered(capsys, "doctor", "run", "data.path=new place.csv")
    lines = [shlex.split(one["line"]) for one in found["findings"] if one["line"]]
    assert lines and all('data.path="new place.csv"' in words for words in lines)
    assert typed(*lines[0][1:], "--dry-run") == 0  # without the place it would ask for the old one


@pytest.mark.parametrize(
    ("epoch", "note"),
    [(3, "no weights are stored: they were removed"), (1, "interrupted after 1 of 3 epochs; to continue")],
)
def test_a_note_says_what_is_not_there_yet_or_any_more(
    fault: str, epoch: int, note: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(Path(fault) / "checkpoints")
    status = Path(fault) / "status.json"
    state = {"epoch": epoch, "state": "finished" if epoch == 3 else "interrupted"}
    status.write_text(json.dumps(json.loads(status.read_text()) | state))
    notes = answered(capsys, "doctor", fault)["notes"]
    assert any(note in one for one in notes), notes
    assert all(f"--resume {fault}" in one or "--resume outputs" in one for one in notes if "continue" in one)
