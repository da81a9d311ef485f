"""`dlexp tune --stacked N`: the trials of a study are those that it trains one by one."""

from __future__ import annotations

import csv
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from refusals import line_refused
from test_cli_tune import own_net, rows, tune

from dlexp.cli.app import main

SPACE = ("search.space.optim=null", "search.space.model.hidden=null", "search.space.data.batch_size=null")
LINE = ("tune", "-q", "-n", "12", "data=iris", "model=mlp", "model.hidden=[8]", "model.norm=none", "optim=adamw")
SEARCHED = ("model.dropout", "optim.lr", "optim.weight_decay")
EPOCHS = 4
RULES = (f"trainer.epochs={EPOCHS}", "search.sampler=random", "search.confirm_top=0")


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


def test_a_trial_that_ends_the_process_of_its_stack_fails_alone_and_the_others_are_trained(tmp_path: Path) -> None:
    words = (*own_net(tmp_path, "[5,6,7,8]"), "search.max_failures=2", "--stacked", "4")  # 5 kills its process
    tune(tmp_path, *words, "-n", "5")
    ends = {row["model.width"]: row["state"] for row in rows(tmp_path) if row["state"] != "requeued"}
    assert ends == {"5": "failed", "6": "complete", "7": "complete", "8": "complete"}
    requeued = [row for row in rows(tmp_path) if row["state"] == "requeued"]
    assert len(requeued) == 4 and all("stack: killed by SIGKILL" in row["reason"] for row in requeued)
    assert "SIGKILL" in next(row["reason"] for row in rows(tmp_path) if row["state"] == "failed")


def replayed(name: str, stack: int, **rules: int) -> list[tuple[str, int]]:
    """(state, epochs) of each trial by a median rule that is given the values of a study, stack by stack."""
    storage = JournalStorage(JournalFileBackend(f"outputs/tune/{name}/study.journal"))
    given = optuna.load_study(study_name=name, storage=storage).get_trials()
    study, found = optuna.create_study(pruner=optuna.pruners.MedianPruner(**rules)), []
    for first in range(0, len(given), stack):
        members = given[first : first + stack]
        trials = [study.ask() for _ in members]
        ends: dict[int, tuple[str, int]] = {}
        for epoch in range(1, EPOCHS + 1):
            for number, (member, trial) in enumerate(zip(members, trials, strict=True)):
                if number in ends:
                    continue
                trial.report(member.intermediate_values[epoch], epoch)
                if epoch == EPOCHS:  # there is nothing left to save
                    ends[number] = ("complete", epoch)
                    study.tell(trial, min(member.intermediate_values.values()))
                elif trial.should_prune():
                    ends[number] = ("pruned", epoch)
                    study.tell(trial, state=TrialState.PRUNED)
        found += [ends[number] for number in range(len(members))]
    return found


def ends_of(name: str) -> list[tuple[str, int]]:
    return [(row["state"], int(row["epochs"])) for row in trials(name)]


def test_pruning_decides_as_a_pruner_that_is_given_the_same_values() -> None:
    median = ("search.pruner=median", "search.pruner_startup_trials=2", "search.pruner_warmup_epochs=1")
    dlexp(*LINE, *SPACE, *RULES, *median, "--name", "stacked", "--stacked", "4")
    found = ends_of("stacked")
    assert {state for state, _ in found} == {"complete", "pruned"}
    assert found == replayed("stacked", 4, n_startup_trials=2, n_warmup_steps=1)
