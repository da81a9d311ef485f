"""Words of `dlexp evaluate` about several networks that have no effect, contradict each other or are misspelled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from refusals import line_refused
from run_toys import write_run

from dlexp.cli.app import main
from dlexp.cli.views.results.predict import show


@pytest.fixture(autouse=True)
def runs() -> None:
    """Two runs that differ in the seed."""
    for seed in (1, 2):
        write_run(Path(f"r{seed}"), seed=seed, outputs=["cat", "dog", "owl"])


def test_several_runs_are_not_combined_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    line_refused(capsys, "evaluate", "r1", "r2", code="invalid-syntax", where="r2", remedy="--ensemble")


@pytest.mark.parametrize("words", [["--vote"], ["--weights", "greedy"], ["--calibrate"], ["--out", "e"]])
def test_options_of_ensembles_need_one(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    line_refused(capsys, "evaluate", "r1", *words, code="missing-requirement", where=words[0], remedy="Add --ensemble")


def test_all_problems_of_a_line_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    error = line_refused(
        capsys, "evaluate", "r1", "r2", "--ensemble", "--soup", "uniform", "--samples", "5", code="cannot-combine"
    )
    assert [problem["where"] for problem in error["problems"]] == ["--soup", "--samples"]
    error = line_refused(
        capsys, "evaluate", "r1", "r2", "--ensemble", "--weights", "gready", "--vote", "--calibrate",
        code="unknown-value", where="--weights", remedy="greedy",
    )  # fmt: skip
    assert {problem["where"] for problem in error["problems"]} == {"--weights", "--calibrate"}


def test_a_soup_has_no_options_of_ensembles(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("evaluate", "r1", "r2", "--soup", "uniform", "--vote")
    line_refused(capsys, *words, code="cannot-combine", where="--vote", remedy="--ensemble")
    line_refused(capsys, "evaluate", "r1", "r2", "--soup", "unifrom", code="unknown-value", remedy="uniform")


def test_a_run_that_is_named_twice_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    line_refused(capsys, "evaluate", "r1", "r1", "--ensemble", code="invalid-value", where="r1", remedy="greedy")


def test_an_ensemble_is_deleted_like_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("outputs/ensemble/e")
    folder.mkdir(parents=True)
    (folder / "ensemble.json").write_text("{}")
    with pytest.raises(SystemExit) as stopped:
        main(["runs", "rm", str(folder), "--yes", "--json"])
    assert not stopped.value.code, capsys.readouterr().err
    assert not folder.exists()


def test_a_damaged_ensemble_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("e").mkdir()
    Path("e/ensemble.json").write_text(json.dumps({"members": []}))
    line_refused(capsys, "evaluate", "e", code="corrupted", where="ensemble.json", exit_code=1)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"run": "g", "mean_of": ["g/seed-42", "g/seed-43"], "views": ""}, "the mean of 2 runs of g\n"),
        ({"run": "a", "mean_of": ["a", "b"], "views": "8"}, "2 runs (a, b), each with the views of --tta 8\n"),
        ({"run": "a", "mean_of": [], "views": "flip"}, "the mean of the views of --tta flip\n"),
    ],
)
def test_a_prediction_says_what_it_is_the_mean_of(
    content: dict[str, Any], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = {"items": 2, "bad": 0, "out": "", "seconds": 1.0, "items_per_second": 2.0}
    show({**counts, "device": "cpu", "precision": "fp32", **content}, quiet=False)
    assert capsys.readouterr().err.endswith(text)
