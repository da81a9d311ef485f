"""`dlexp runs`: the table, its filters and order, and what may be deleted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from refusals import line_refused
from refusals import refused as error_refused
from run_toys import write_predictions, write_run

from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.cli.app import main
from dlexp.errors import ConfigError
from dlexp.workflows.runs import remove


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """outputs/ with four runs, one of them in a group of its own kind of directory."""
    outputs = tmp_path / "outputs"
    monkeypatch.setenv("DLEXP_RUNS_DIR", str(outputs))
    write_run(outputs / "train" / "a", loss=0.5, lr=0.1, hours_ago=1)
    write_run(outputs / "train" / "b", loss=0.2, lr=1e-4, hours_ago=30)
    write_run(outputs / "train" / "c", model="cnn", loss=0.3, state="failed", hours_ago=80)
    for seed in (2, 10):
        write_run(outputs / "train" / "g-2-seeds" / f"seed-{seed}", model="cnn", seed=seed, loss=0.4, hours_ago=5)
    return outputs


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    main_words(*words)
    return capsys.readouterr().out


def main_words(*words: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["runs", *words])
    assert stopped.value.code == 0


def rows(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(capsys, *words, "--json"))["runs"]
    return found


def names(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    return [row["name"] for row in rows(capsys, *words)]


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["runs", *words])
    assert stopped.value.code == 2
    return capsys.readouterr().err


NEWEST_FIRST = ["a", "g-2-seeds/seed-10", "g-2-seeds/seed-2", "b", "c"]


def test_the_table_is_newest_first_and_says_what_matters(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header, *lines = run(capsys).splitlines()
    assert header.split() == ["name", "state", "age", "data", "model", "val/loss", "val/accuracy", "time", "size"]
    assert sorted(line.split()[0] for line in lines) == sorted(NEWEST_FIRST)
    assert lines[0].split()[:10] == ["a", "finished", "1", "h", "digits", "mlp", "0.5", "90.00", "%", "6.0"]
    assert lines[-1].split()[:4] == ["c", "failed", "3", "d"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--state", "failed"], ["c"]),
        (["--state", "failed,finished", "--model", "c*"], ["g-2-seeds/seed-10", "g-2-seeds/seed-2", "c"]),
        (["--since", "2d", "--model", "mlp"], ["a", "b"]),
        (["--where", "optim.lr<1e-3"], ["b"]),
        (["--where", "optim.lr=1e-4"], ["b"]),
        (["--where", "val/loss>=0.4", "--where", "seed!=10"], ["a", "g-2-seeds/seed-2"]),
        (["--where", "model.dropout=0.2", "--where", "name=null"], []),
        (["--where", "trainer.device=auto", "--where", "seed>2"], ["g-2-seeds/seed-10"]),
        (["--where", "optim=adamw", "--limit", "1"], ["a"]),
        (["--sort", "val/loss", "--limit", "2"], ["b", "c"]),
        (["--sort", "val/accuracy", "--where", "seed=0"], ["a", "b", "c"]),
        (["--sort", "seed", "--limit", "2"], ["g-2-seeds/seed-10", "g-2-seeds/seed-2"]),
        (["--data", "iris"], []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_filters_and_order(
    words: list[str], expected: list[str], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = names(capsys, *words)
    assert (found if "--sort" in words else sorted(found)) == (expected if "--sort" in words else sorted(expected))


@pytest.mark.parametrize(
    ("words", "code", "where", "remedy"),
    [
        (["--state", "fialed"], "unknown-value", "--state", "failed?"),
        (["--kind", "trian"], "unknown-value", "--kind", "train?"),
        (["--where", "optim.lrr<1"], "unknown-key", "--where", "optim.lr?"),
        (["--where", "optim.lr<small"], "invalid-type", "--where", ""),
        (["--where", "fast"], "invalid-syntax", "--where", "--where model=mlp"),
        (["--sort", "val/los"], "unknown-key", "--sort", "val/loss?"),
        (["--columns", "modl"], "unknown-key", "--columns", "model?"),
        (["--since", "yesterday"], "invalid-syntax", "--since", "--since 2d"),
        (["--state", "failed", "rm", "a"], "no-effect", "dlexp runs rm", "dlexp runs rm"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_nonsense_is_refused_with_the_remedy(
    words: list[str], code: str, where: str, remedy: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line_refused(capsys, "runs", *words, code=code, where=where, remedy=remedy)


def test_a_run_that_is_not_there_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere" in refused(capsys, "show", "nowhere")


def test_columns_may_be_any_key(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header, *lines = run(capsys, "--columns", "seed,optim.lr,model", "--where", "seed=10").splitlines()
    assert header.split() == ["name", "seed", "optim.lr", "model"]
    assert len(lines) == 1
    assert lines[0].split() == ["g-2-seeds/seed-10", "10", "0.01", "cnn"]


def test_a_run_whose_process_is_gone_has_died_and_one_that_lives_runs(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(root / "train" / "gone", state="running")
    write_run(root / "train" / "lives", state="running")
    with RunDir(root / "train" / "lives").lock():
        states = {row["name"]: row["state"] for row in rows(capsys)}
    assert (states["gone"], states["lives"], states["a"], states["c"]) == ("died", "running", "finished", "failed")
    assert set(names(capsys, "--state", "died")) == {"gone", "lives"}  # whose lock is free by now


def test_what_is_no_whole_run_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "train" / "empty").mkdir()
    (root / "train" / "started").mkdir()
    write_run(root / "train" / "torn")
    (root / "train" / "torn" / "meta.json").write_text('{"started": ')
    write_run(root / "train" / "strange", started="long ago")
    (root / "train" / "file.txt").write_text("not a directory")
    with RunDir(root / "train" / "started").lock():
        broken = json.loads(run(capsys, "--json"))["broken"]
    reasons = {Path(entry["path"]).name: entry["reason"] for entry in broken}
    assert set(reasons) == {"empty", "started", "torn", "strange"}
    assert "config.yaml" in reasons["empty"]
    assert "config.yaml" not in reasons["started"]  # which a process is writing at this moment
    assert "meta.json" in reasons["torn"]
    assert "long ago" in reasons["strange"]
    assert f"{root / 'train' / 'torn'}: " in run(capsys)


def test_compare_takes_the_finished_runs_of_a_filter(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place, name in enumerate(("a", "b", "g-2-seeds/seed-2", "g-2-seeds/seed-10")):
        write_predictions(root / "train" / name, [place % 2 == 0, True, False, True] * 25)
    with pytest.raises(SystemExit) as stopped:
        main(["compare", "--where", "data=digits", "--json"])
    assert stopped.value.code == 0
    groups = json.loads(capsys.readouterr().out)["groups"]
    assert sorted(tuple(group["seeds"]) for group in groups) == [(0,), (0,), (2, 10)]  # not the failed run


def test_nothing_yet_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "dlexp train" in run(capsys)
    assert rows(capsys) == []


def test_studies_and_sweeps_are_listed_when_asked_for(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = root / "tune" / "s1"
    study.mkdir(parents=True)
    content = {"metric": "val/loss", "direction": "minimize", "trials": {"complete": 3, "pruned": 2}, "reason": "done"}
    (study / "study.json").write_text(json.dumps({**content, "best": {"value": 0.25}}))
    sweep = root / "lr-find" / "x"
    sweep.mkdir(parents=True)
    (sweep / "lr_find.json").write_text(json.dumps({"suggestion": 0.01, "model": "mlp", "data": "digits"}))
    found = {row["name"]: row for row in rows(capsys, "--kind", "all")}
    assert (found["s1"]["metrics"], found["s1"]["epoch"], found["s1"]["state"]) == ({"val/loss": 0.25}, 3, "finished")
    assert (found["x"]["metrics"], found["x"]["model"]) == ({"lr": 0.01}, "mlp")
    assert names(capsys, "--kind", "tune") == ["s1"]
    assert "s1" not in names(capsys)


def test_show_tells_how_it_was_started_and_what_came_out(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_predictions(root / "train" / "a", [True, False])
    text = run(capsys, "show", "a")
    assert "dlexp train model=mlp" in text
    assert "test/accuracy" in text
    assert "50.00 %" in text
    content = json.loads(run(capsys, "show", "a", "--json"))
    assert content["config"]["optim"]["lr"] == 0.1
    assert "seed-10" in run(capsys, "show", "g-2-seeds")


def test_rm_asks_and_then_takes_the_run_and_nothing_else(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data.txt").write_text("keep")
    (root / "train" / "a" / "link").symlink_to(precious)
    RunDir(root / "train" / "a").point_latest()
    line_refused(capsys, "runs", "rm", "a", code="missing-requirement", where="--yes", remedy="--yes")
    content = json.loads(run(capsys, "rm", "a", "g-2-seeds", "--yes", "--json"))
    assert [Path(path).name for path in content["removed"]] == ["a", "g-2-seeds"]
    assert content["bytes"] > 0
    assert sorted(path.name for path in (root / "train").iterdir()) == ["b", "c"]
    assert (precious / "data.txt").read_text() == "keep"
    newest = max(("b", "c"), key=lambda name: (root / "train" / name / "config.yaml").stat().st_mtime_ns)
    assert (root / "latest").resolve() == (root / "train" / newest).resolve()
    run(capsys, "rm", "b", "c", "--yes")
    assert not (root / "latest").is_symlink()


def test_rm_refuses_what_must_not_go(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RunDir(root / "train" / "b").point_latest()
    trial = write_run(root / "tune" / "s1" / "trials" / "0001")
    (root / "tune" / "s1" / "study.json").write_text("{}")
    (tmp_path / "plain").mkdir()
    mine = write_run(tmp_path / "mine")
    (mine / "thesis.tex").write_text("years of work")
    for name, code, remedy in (
        ("latest", "not-supported", str((root / "train" / "b").resolve())),
        ("plain", "incompatible-run", ""),
        (str(root), "incompatible-run", ""),
        (str(root / "train"), "incompatible-run", ""),
        ("nowhere", "not-found", "dlexp runs"),
        ("g-2-seeds/seed-2", "not-supported", "g-2-seeds"),
        (str(trial), "not-supported", str((root / "tune" / "s1").resolve())),
        (str(mine), "not-supported", ""),
    ):
        error = line_refused(capsys, "runs", "rm", name, "--yes", code=code, where=Path(name).name, remedy=remedy)
        assert ("thesis.tex" in error["message"]) == (name == str(mine))
    for busy in ("a", "g-2-seeds/seed-2"):
        with RunDir(root / "train" / busy).lock():
            line_refused(capsys, "runs", "rm", busy.partition("/")[0], "b", "--yes", code="in-use", where=busy[:1])
    assert len(list(root.glob("train/*"))) == 4
    assert mine.is_dir()
    assert trial.is_dir()


def test_a_run_that_began_in_the_meantime_stays(root: Path) -> None:
    plan = remove.plan_removal([root / "train" / "a"])
    with RunDir(root / "train" / "a").lock(), pytest.raises(ConfigError) as error:
        remove.remove(plan)
    error_refused(error.value, "in-use", "a")
    assert (root / "train" / "a" / "meta.json").is_file()


def test_prune_keeps_the_best_of_each_kind(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(root / "train" / "d", loss=0.9)
    write_run(root / "train" / "worse", model="cnn", loss=0.6)
    before = sorted(path.name for path in (root / "train").iterdir())
    dry = json.loads(run(capsys, "prune", "--keep-best", "1", "--dry-run", "--json"))
    assert {Path(path).name for path in dry["would_remove"]} == {"a", "d", "g-2-seeds", "worse"}
    kept = {Path(entry["path"]).name: entry["why"] for entry in dry["kept"]}
    assert kept.keys() == {"b", "c"}
    assert sorted(path.name for path in (root / "train").iterdir()) == before
    line_refused(capsys, "runs", "prune", "--keep-best", "1", code="missing-requirement", where="--yes", remedy="--yes")
    run(capsys, "prune", "--keep-best", "2", "--yes")
    assert sorted(path.name for path in (root / "train").iterdir()) == ["a", "b", "c", "g-2-seeds"]


def test_prune_goes_by_the_metric_and_the_kinds_asked_for(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["prune", "--keep-best", "1", "--dry-run", "--json"]
    best = json.loads(run(capsys, *words, "--by", "data", "--metric", "val/accuracy"))
    assert len(best["kept"]) == 2  # the newest of equals, and the failed run
    assert {Path(entry["path"]).name for entry in best["kept"]} == {"a", "c"}
    chosen = json.loads(run(capsys, *words, "--by", "data", "--where", "model=mlp"))
    assert [Path(path).name for path in chosen["would_remove"]] == ["a"]
    line_refused(capsys, "runs", *words[:-1], "--by", "modle", code="unknown-key", where="--by", remedy="model?")


def test_prune_leaves_what_others_need(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(root / "train" / "child", model="vit", init_from=str(root / "train" / "a" / "checkpoints" / "best.pt"))
    write_run(root / "train" / "stopped", loss=0.7, state="interrupted")
    write_run(root / "train" / "busy", loss=0.8)
    words = ["prune", "--keep-best", "1", "--by", "model", "--dry-run", "--json"]
    with RunDir(root / "train" / "busy").lock():
        dry = json.loads(run(capsys, *words))
        all_of_them = json.loads(run(capsys, *words, "--unfinished"))
    why = {Path(entry["path"]).name: entry["why"] for entry in dry["kept"]}
    assert "child" in why["a"]
    assert "--resume" in why["stopped"]
    assert "busy" in why["busy"]
    assert [Path(path).name for path in dry["would_remove"]] == ["g-2-seeds"]
    assert {Path(path).name for path in all_of_them["would_remove"]} == {"g-2-seeds", "stopped"}
    assert "child" in run(capsys, "rm", "a", "--yes")


def test_a_removal_that_was_killed_is_finished_by_the_next(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "train" / "a").rename(root / "train" / ".removed-1-a")
    assert "a" not in names(capsys)
    run(capsys, "rm", "b", "--yes")
    assert not (root / "train" / ".removed-1-a").exists()


@pytest.mark.parametrize("words", [["runs"], ["runs", "show", "a"], ["compare", "a", "b"]], ids=" ".join)
def test_neither_command_loads_torch(words: list[str], root: Path) -> None:
    for name in ("a", "b"):
        write_predictions(root / "train" / name, [True, False, True] * 10)
    code = (
        "import atexit, sys\nfrom dlexp.cli.app import main\n"
        "heavy = ('torch', 'optuna', 'matplotlib', 'hydra', 'omegaconf', 'pandas', 'scipy')\n"
        "atexit.register(lambda: print('LOADED', [name for name in heavy if name in sys.modules]))\n"
        f"main({words!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert "LOADED []" in done.stdout
