"""`dlexp train --run-id ID` in this process: start, continue, nothing to do, and every refusal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from refusals import line_refused

from dlexp.artifacts.files.new_folder import refuse_bad_name
from dlexp.cli.app import main
from dlexp.errors import ConfigError
from dlexp.workflows.run_record import write

LINE = ("train", "-q", "trainer.epochs=2", "--run-id", "job.1")
FOLDER = Path("outputs/train/job.1")


def run(*words: str, code: int = 0) -> None:
    """Run the words, which must end with `code`."""
    try:
        main(list(words))
    except SystemExit as stopped:
        assert (stopped.code or 0) == code
    else:
        assert code == 0


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Path -> content and time of every file; the lock names its last owner."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_the_same_line_again_finds_it_finished_and_touches_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    run(*LINE)
    assert Path("outputs/latest").resolve() == FOLDER.resolve()
    before = everything(FOLDER)
    capsys.readouterr()
    run(*LINE, "--json")
    captured = capsys.readouterr()
    assert json.loads(captured.out) == json.loads((FOLDER / "summary.json").read_text())
    assert str(FOLDER) in captured.err and "2 epochs" in captured.err
    assert everything(FOLDER) == before


def test_a_run_that_stopped_early_is_finished_too(capsys: pytest.CaptureFixture[str]) -> None:
    early = ("regularization.early_stopping.patience=1", "regularization.early_stopping.min_delta=100")
    line = ("train", "-q", "trainer.epochs=9", *early, "--run-id", "early")
    run(*line)
    before = everything(Path("outputs"))
    run(*line)
    assert "outputs/train/early" in capsys.readouterr().err
    assert everything(Path("outputs")) == before


def test_more_epochs_extend_it_and_the_change_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    run(*LINE)
    run(*LINE, "trainer.epochs=3", "--json")
    captured = capsys.readouterr()
    assert "changed: trainer.epochs: 2 -> 3" in captured.err
    assert json.loads(captured.out[captured.out.index("{") :])["epochs"] == 3


def test_another_configuration_is_refused_with_every_difference(capsys: pytest.CaptureFixture[str]) -> None:
    run(*LINE)
    before = everything(FOLDER)
    capsys.readouterr()
    run(*LINE, "optim.lr=0.3", "seed=7", "trainer.epochs=5", code=2)
    err = capsys.readouterr().err
    assert "2 problems" in err
    assert "0.002" in err
    error = line_refused(
        capsys, *LINE, "optim.lr=0.3", "seed=7", "trainer.epochs=5", code="incompatible-run", where="optim.lr"
    )
    assert {problem["where"]: problem["given"] for problem in error["problems"]} == {"optim.lr": "0.3", "seed": "7"}
    assert everything(FOLDER) == before


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-x", ".x", "ä", "a b", "a\n", "latest", "x" * 101])
def test_an_id_is_a_plain_name(name: str) -> None:
    with pytest.raises(ConfigError) as error:
        refuse_bad_name("--run-id", name)
    assert [problem.where for problem in error.value.problems] == ["--run-id"]


@pytest.mark.parametrize("name", ["a", "A-1", "job_2.seed-3", "0", "x" * 100])
def test_plain_names_are_ids(name: str) -> None:
    refuse_bad_name("--run-id", name)


@pytest.mark.parametrize("words", [("--resume",), ("--resume", "x"), ("--run-dir", "x")])
def test_an_id_stands_alone(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    error = line_refused(capsys, *LINE, *words, code="cannot-combine", where="--run-id")
    assert words[0] in error["problems"][0]["rule"]
    assert list(Path.cwd().iterdir()) == []


def test_a_run_killed_while_it_wrote_down_its_request_is_started_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(write, "to_yaml", killed)
        run(*LINE, code=130)
    assert (FOLDER / "meta.json").is_file()
    assert not (FOLDER / "config.yaml").exists()
    run(*LINE, "--json")
    out = capsys.readouterr().out
    assert json.loads(out)["epochs"] == 2


def test_a_directory_of_somebody_elses_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    FOLDER.mkdir(parents=True)
    (FOLDER / "env.txt").write_text("mine")
    run(*LINE, code=2)
    assert str(FOLDER) in capsys.readouterr().err
    assert (FOLDER / "env.txt").read_text() == "mine"


def test_a_run_with_borrowed_weights_that_was_killed_at_once_still_begins_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dlexp.workflows.train import train as workflow

    run("train", "-q", "trainer.epochs=1", "--run-dir", "source")
    line = ("train", "-q", "trainer.epochs=1", "seed=5", "init_from=source", "--run-id")
    run(*line, "whole")

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(workflow, "course", killed)
        run(*line, "cut", code=130)
    run(*line, "cut")
    one, other = (
        torch.load(f"outputs/train/{name}/checkpoints/last.pt", weights_only=True)["networks"]
        for name in ("whole", "cut")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_rate_that_was_found_is_not_looked_for_again(capsys: pytest.CaptureFixture[str]) -> None:
    line = ("train", "-q", "optim=sgd", "optim.lr=auto", "data.augment=none", "trainer.epochs=2", "--run-id", "auto")
    run(*line)
    assert "optim.lr=auto" in capsys.readouterr().err
    run(*line)
    err = capsys.readouterr().err
    assert "optim.lr=auto" not in err
    assert "outputs/train/auto" in err


def test_several_seeds_under_one_id(capsys: pytest.CaptureFixture[str]) -> None:
    line = ("train", "-q", "trainer.epochs=1", "--run-id", "group", "--seeds", "2")
    Path("outputs/train/group/seed-42").mkdir(parents=True)  # killed before its first run had begun
    run(*line)
    before = {k: v for k, v in everything(Path("outputs/train/group")).items() if "seeds." not in k}
    capsys.readouterr()
    run(*line, "--json")
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)["runs"]) == 2
    assert captured.err.count("outputs/train/group/seed-4") == 2
    after = {k: v for k, v in everything(Path("outputs/train/group")).items() if "seeds." not in k}
    assert after == before
    line_refused(capsys, *line, "optim.lr=1", code="incompatible-run", where="outputs/train/group")
    line_refused(capsys, *line[:-2], code="incompatible-run", where="--run-id", remedy="--seeds")
    run("train", "-q", "trainer.epochs=1", "--run-id", "single")
    single = ("train", "-q", "trainer.epochs=1", "--run-id", "single", "--seeds", "2")
    line_refused(capsys, *single, code="incompatible-run", where="--run-id", remedy="--seeds")
