"""search.stop: a trial that has diverged or learns nothing ends early, with the finding as its reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from refusals import line_refused
from test_cli_tune import content, rows, study_of, tune

LINE = (
    "data=iris", "model=mlp", "model.hidden=[8]", "model.norm=none", "model.dropout=0", "optim=sgd", "optim.momentum=0",
    "scheduler=constant", "trainer.epochs=9", "search.pruner=none", "search.sampler=grid", "search.confirm_top=0",
    "search.space={model.hidden:null,model.dropout:null,data.batch_size:null,optim.momentum:null,optim.weight_decay:null}",
)  # fmt: skip
RATES = (*LINE, "optim.lr=0.1", "search.space.optim.lr={choice:[0.1,1e-12]}", "-n", "2", "--name", "s")


def test_a_trial_that_learns_nothing_is_stopped_and_says_why(tmp_path: Path) -> None:
    tune(tmp_path, *RATES, "search.stop=dead")
    good, dead = rows(tmp_path)
    assert (good["state"], good["optim.lr"], good["epochs"]) == ("complete", "0.1", "9")
    assert (dead["state"], dead["optim.lr"]) == ("pruned", "1e-12")
    assert int(dead["epochs"]) < 9
    assert dead["reason"].startswith(("plateau: ", "class_collapse: "))
    assert "training loss by that of the best constant output" in dead["reason"]  # with its numbers
    folder = study_of(tmp_path) / dead["folder"]
    assert "stopped by search.stop: " in (folder / "train.log").read_text()
    result = json.loads((folder / "result.json").read_text())
    assert result["pruned"] and dead["reason"].startswith(result["finding"]["code"])
    assert content(tmp_path)["epochs_saved_by_pruning"] == 9 - int(dead["epochs"])


@pytest.mark.parametrize("words", [(), ("search.stop=[]",), ("search.stop=[diverged]",)])
def test_nothing_is_stopped_that_was_not_asked_for(tmp_path: Path, words: tuple[str, ...]) -> None:
    tune(tmp_path, *RATES, *words)
    assert [(row["state"], row["epochs"], row["reason"]) for row in rows(tmp_path)] == [("complete", "9", "")] * 2


def test_a_diverged_trial_is_stopped_in_a_stack_too(tmp_path: Path) -> None:
    space = "search.space.optim.lr={choice:[0.1,10]}"
    tune(tmp_path, *LINE, space, "optim.lr=0.1", "-n", "2", "--name", "s", "--stacked", "2", "search.stop=[diverged]")
    good, burst = rows(tmp_path)
    assert (good["state"], good["epochs"]) == ("complete", "9")
    assert burst["state"] == "pruned" and int(burst["epochs"]) < 9
    assert burst["reason"].startswith("rate_too_high: ")


def test_a_word_that_is_no_reason_to_stop_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    line_refused(
        capsys, "tune", "-n", "2", "search.stop=[dead,diverge]", where="search.stop", code="unknown-value"
    )  # fmt: skip
