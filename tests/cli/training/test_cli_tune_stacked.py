"""`dlexp tune --stacked N`: the trials of a study are those that it trains one by one."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from refusals import line_refused

from dlexp.cli.app import main

SPACE = ("search.space.optim=null", "search.space.model.hidden=null", "search.space.data.batch_size=null")
LINE = ("tune", "-q", "-n", "12", "data=iris", "model=mlp", "model.hidden=[8]", "model.norm=none", "optim=adamw")
SEARCHED = ("model.dropout", "optim.lr", "optim.weight_decay")
RULES = ("trainer.epochs=4", "search.sampler=random", "search.confirm_top=0")


def dlexp(*words: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    assert (end.value.code or 0) == code, words


def trials(name: str) -> list[dict[str, str]]:
    with Path(f"outputs/tune/{name}/trials.csv").open() as file:
        return sorted(csv.DictReader(file), key=lambda row: int(row["trial"]))


def test_stacked_trials_have_the_values_of_single_ones_and_pruning_disturbs_none() -> None:
    median = ("search.pruner=median", "search.pruner_startup_trials=1", "search.pruner_warmup_epochs=0")
    dlexp(*LINE, *SPACE, *RULES, "search.pruner=none", "--name", "alone")
    dlexp(*LINE, *SPACE, *RULES, "search.pruner=none", "--name", "stacked", "--stacked", "4")
    dlexp(*LINE, *SPACE, *RULES, *median, "--name", "pruned", "--stacked", "4")
    alone, stacked, pruned = (trials(name) for name in ("alone", "stacked", "pruned"))
    assert [row["state"] for row in stacked] == ["complete"] * 12
    assert {"complete", "pruned"} == {row["state"] for row in pruned}
    for one, other, again in zip(alone, stacked, pruned, strict=True):
        assert [one[name] for name in SEARCHED] == [other[name] for name in SEARCHED]
        assert float(other["value"]) == pytest.approx(float(one["value"]), rel=1e-4)
        if again["state"] == "complete":
            assert float(again["value"]) == pytest.approx(float(one["value"]), rel=1e-4)
        else:
            assert int(again["epochs"]) < 4
    logs = [(Path("outputs/tune/stacked") / row["folder"] / "train.log").read_text() for row in stacked]
    assert all("in a stack of 4 trials" in log for log in logs)


def test_a_limit_of_a_single_trial_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    line_refused(
        capsys,
        *LINE,
        "search.trial_minutes=1",
        "--stacked",
        "4",
        code="cannot-combine",
        where="search.trial_minutes",
        remedy="--stacked",
    )
