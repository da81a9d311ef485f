"""One bad directory among good ones: the good ones are listed, the bad one is named with what is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_toys import write_predictions, write_run

from dlexp.cli.app import main


def rewritten(name: str, **values: Any) -> Callable[[Path], None]:
    def apply(run: Path) -> None:
        path = run / name
        content = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps({**content, **values}))

    return apply


def without(name: str, key: str) -> Callable[[Path], None]:
    def apply(run: Path) -> None:
        content = json.loads((run / name).read_text())
        del content[key]
        (run / name).write_text(json.dumps(content))

    return apply


def replaced(name: str, text: str) -> Callable[[Path], None]:
    def apply(run: Path) -> None:
        (run / name).write_text(text)

    return apply


def piped(name: str) -> Callable[[Path], None]:
    def apply(run: Path) -> None:
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)

    return apply


BAD: dict[str, tuple[Callable[[Path], None], str, str]] = {  # how it is harmed, the file and the place that are named
    "best a list": (rewritten("summary.json", best=[1], seconds=1.0), "summary.json", "`best`"),
    "seconds null": (rewritten("summary.json", best={}, seconds=None), "summary.json", "`seconds`"),
    "started gone": (without("meta.json", "started"), "meta.json", "`started`"),
    "started a word": (rewritten("meta.json", started="then"), "meta.json", "`started`"),
    "notes numbers": (rewritten("meta.json", notes=[1]), "meta.json", "`notes[0]`"),
    "config a list": (rewritten("meta.json", config=[]), "meta.json", "`config`"),
    "epoch a text": (rewritten("status.json", epoch="3"), "status.json", "`epoch`"),
    "metrics a list": (rewritten("eval/test/report.json", metrics=[1]), "eval/test/report.json", "`metrics`"),
    "nested": (replaced("meta.json", "[" * 3000 + "]" * 3000), "meta.json", "100"),
    "no number": (replaced("metrics.csv", "epoch,step,val/loss,seconds\n1,1,low,2\n"), "metrics.csv", "'val/loss'"),
    "pipe": (piped("meta.json"), "meta.json", "pipe"),
    "pipe as status": (piped("status.json"), "status.json", "pipe"),
}


def ran(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    captured = capsys.readouterr()
    return int(stopped.value.code or 0), captured.out + captured.err


@pytest.mark.parametrize("case", BAD)
def test_others_are_listed_and_the_bad_one_is_named(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    harm, file, place = BAD[case]
    for name in ("good", "bad"):
        write_predictions(write_run(Path("outputs/train") / name), [True, False, True])
    harm(Path("outputs/train/bad"))
    code, output = ran(capsys, "runs")
    assert code == 0 and "good" in output
    assert f"outputs/train/bad: outputs/train/bad/{file}" in output and place in output
    listed = json.loads(ran(capsys, "runs", "--json")[1])
    assert [Path(row["path"]).name for row in listed["runs"]] == ["good"]
    assert file in listed["broken"][0]["reason"] and place in listed["broken"][0]["reason"]
    for words in (("runs", "show", "bad"), ("compare", "good", "bad"), ("report", "good", "bad", "--out", "both.html")):
        code, output = ran(capsys, *words)
        assert code in (1, 2) and file in output and place in output, words
    assert ran(capsys, "report", "bad", "--out", "bad.html")[0] == 0  # a page tells what it lacks


def test_directory_of_somebody_else_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("good", "closed"):
        write_run(Path("outputs/train") / name)
    Path("outputs/train/closed").chmod(0)
    own = os.geteuid()
    try:
        if own == 0:  # for whom no directory is closed
            tmp_path.chmod(0o755)
            os.seteuid(65534)
        code, output = ran(capsys, "runs")
        shown = ran(capsys, "runs", "show", "outputs/train/closed")
        pages = ran(capsys, "report", "outputs/train/closed", "--out", "a.html")
    finally:
        os.seteuid(own)
        Path("outputs/train/closed").chmod(0o755)
    assert code == 0 and "good" in output
    assert "outputs/train/closed: " in output and "Permission denied" in output
    for code, output in (shown, pages):
        assert code == 2 and "outputs/train/closed" in output and "Permission denied" in output


def test_members_of_a_group_are_shown_without_the_bad_one(capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (1, 2):
        write_run(Path("outputs/train/g") / f"seed-{seed}", seed=seed)
    BAD["notes numbers"][0](Path("outputs/train/g/seed-2"))
    code, output = ran(capsys, "runs", "show", "g")
    assert code == 0 and "g/seed-1" in output and "seed-2/meta.json" in output and "`notes[0]`" in output


def test_newest_run_that_cannot_be_read_is_not_passed_over_by_resume(capsys: pytest.CaptureFixture[str]) -> None:
    write_run(Path("outputs/train/a"), state="failed")
    BAD["epoch a text"][0](Path("outputs/train/a"))
    code, output = ran(capsys, "train", "--resume")
    assert code == 2 and "outputs/train/a" in output and "--resume RUN" in output
