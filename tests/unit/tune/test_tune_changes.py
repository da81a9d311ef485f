"""A study that is opened with another space: what it says, what it refuses, and what it still knows (T6)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from refusals import refused

from dlexp.errors import ConfigError
from dlexp.tune.samplers import Rules
from dlexp.tune.search_space.space import Space, parse_dimension
from dlexp.tune.study import BaseConfig, Study

RULES = Rules("random", 0, 3, "none", 0, 0, 25.0, False, "val/loss", 10)
GROUPS = {"optim": ("sgd", "adam")}
LINE: dict[str, Any] = {
    "x": {"float": [-1, 1]},
    "n": {"int": [2, 8]},
    "lr": {"log": [1e-4, 1e-1]},
    "size": {"choice": [16, 32]},
    "hidden": {"repeat": [1, 2], "choice": [8, 16]},
    "z": {"float": [0, 1], "step": 0.25},
}


def space(**changed: Any) -> Space:
    specs = {**LINE, **changed}
    found = [parse_dimension(path, spec) for path, spec in specs.items() if spec is not None]
    return Space(GROUPS, (*found, parse_dimension("optim.momentum", {"float": [0, 0.9]}, "optim=sgd")))


def opened(folder: Path, now: Space, rules: Rules = RULES) -> Study:
    return Study("s", None, folder, rules, now)


def run(study: Study, total: int) -> None:
    while (proposal := study.ask(total, {}, {})) is not None:
        study.complete(proposal.trial, float(proposal.values.get("x", 0.0)) ** 2)


@pytest.mark.parametrize(
    ("changed", "note"),
    [
        ({"x": {"float": [-2, 1]}}, "x .*: -1 to 1 -> -2 to 1"),
        ({"lr": {"log": [1e-5, 1]}}, "lr .*: 0.0001 to 0.1, logarithmic -> 1e-05 to 1, logarithmic"),
        ({"n": {"int": [1, 64]}}, "n .*: .*2 to 8 -> .*1 to 64"),
        ({"hidden": {"repeat": [1, 4], "choice": [8, 16]}}, "hidden .*: 1 to 2 times one of 8, 16 -> 1 to 4"),
        ({"z": {"float": [-0.5, 1], "step": 0.25}}, "z .*: 0 to 1, in steps of 0.25 -> -0.5 to 1, in steps of"),
        ({"z": {"float": [0, 1]}}, "z .*: 0 to 1, in steps of 0.25 -> 0 to 1"),
        ({"x": None}, "x is no longer searched"),
        ({"y": {"float": [0, 1]}}, "y is now searched"),
    ],
)
def test_a_change_that_mixes_is_told_and_the_study_goes_on(tmp_path: Path, changed: Any, note: str) -> None:
    run(opened(tmp_path, space()), 4)
    study = opened(tmp_path, space(**changed))
    assert len(study.notes) == 1
    assert re.match(note, study.notes[0])
    run(study, 8)
    assert study.num_finished() == 8
    assert opened(tmp_path, space(**changed)).notes == []  # told once


@pytest.mark.parametrize(
    ("changed", "where", "was"),
    [
        ({"size": {"choice": [16, 32, 64]}}, "size", "one of 16, 32"),
        ({"hidden": {"repeat": [1, 2], "choice": [8]}}, "hidden", "1 to 2 times one of"),
        ({"n": {"float": [2, 8]}}, "n", "2 to 8"),
        ({"x": {"choice": [-1, 1]}}, "x", "-1 to 1"),
        ({"lr": {"float": [1e-4, 1e-1]}}, "lr", "0.0001 to 0.1, logarithmic"),
        ({"x": {"float": [-1e-9, 1e-9]}}, "x", "-1 to 1"),
        ({"n": {"int": [100, 200]}}, "n", "2 to 8"),
    ],
)
def test_a_change_that_does_not_mix_is_refused_with_its_key_and_the_way_out(
    tmp_path: Path, changed: Any, where: str, was: str
) -> None:
    study = opened(tmp_path, space())
    run(study, 4)
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, space(**changed))
    (problem,) = caught.value.problems
    assert (problem.where, problem.code) == (f"search.space.{where}", "incompatible-run")
    assert was in problem.rule
    is_other_kind = "choice" in str(changed) or changed == {"n": {"float": [2, 8]}}
    assert problem.rule.startswith("4 trials") == (was in ("-1 to 1", "2 to 8") and not is_other_kind)
    assert "--name NEW --migrate s" in problem.remedy
    again = opened(tmp_path, space())
    assert again.notes == []  # the refused space was not recorded
    assert [trial.params for trial in again.trials()] == [trial.params for trial in study.trials()]


def test_other_options_of_a_group_are_refused_and_every_problem_is_told(tmp_path: Path) -> None:
    opened(tmp_path, space())
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, Space({"optim": ("sgd",), "scheduler": ("cosine",)}, space(size={"choice": [1]}).dimensions))
    found = {problem.where: problem.rule for problem in caught.value.problems}
    assert found.keys() == {"search.space.optim", "search.space.scheduler", "search.space.size"}
    assert "sgd, adam" in found["search.space.optim"]
    assert "one of 16, 32" in found["search.space.size"]


def test_a_narrower_range_that_holds_every_trial_is_allowed(tmp_path: Path) -> None:
    opened(tmp_path, space()).begin(BaseConfig({"optim": "adam"}, {"x": 0.5}))
    narrow = space(x={"float": [0.4, 2]})
    study = opened(tmp_path, narrow)
    (note,) = study.notes
    assert note.startswith("x ") and "-1 to 1 -> 0.4 to 2" in note
    with pytest.raises(ConfigError) as error:  # the baseline, which is only planned yet
        opened(tmp_path, space(x={"float": [0.6, 2]}))
    refused(error.value, "incompatible-run", "search.space.x", "--migrate")
    assert "1 trial " in error.value.problems[0].rule
    run(study, 6)
    assert all(0.4 <= trial.params["x"] <= 2 for trial in study.trials()[1:])


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "gp"])
@pytest.mark.parametrize("grouped", [True, False])
def test_after_a_range_was_widened_the_new_part_is_searched(tmp_path: Path, sampler: str, grouped: bool) -> None:
    def of(high: float) -> Space:
        dimensions = (parse_dimension("x", {"float": [0, high]}), parse_dimension("y", {"float": [0, 1]}))
        return Space(GROUPS if grouped else {}, dimensions)

    def run_for_large(study: Study, total: int) -> None:
        while (proposal := study.ask(total, {}, {})) is not None:
            study.complete(proposal.trial, -float(proposal.values["x"]))

    rules = replace(RULES, sampler=sampler)
    try:
        run_for_large(opened(tmp_path, of(1), rules), 6)
    except ConfigError as error:
        refused(error, "missing-package", "search.sampler", "pip install")
        return
    study = opened(tmp_path, of(3), rules)
    run_for_large(study, 12)
    assert max(trial.params["x"] for trial in study.trials()[6:]) > 1


def test_what_a_trial_had_is_known_after_its_key_is_searched_no_more(tmp_path: Path) -> None:
    run(opened(tmp_path, space()), 3)
    study = opened(tmp_path, space(x=None, y={"float": [0, 1]}))
    run(study, 5)
    early, late = study.trials()[0], study.trials()[4]
    assert study.decode(early)[1]["x"] == early.params["x"]
    assert "y" not in study.decode(early)[1]
    assert "x" not in study.decode(late)[1]
    assert 0 <= study.decode(late)[1]["y"] <= 1
    back = opened(tmp_path, space(x={"float": [-3, 3]}))
    assert any(note.startswith("x ") for note in back.notes)
    with pytest.raises(ConfigError) as error:
        opened(tmp_path, space(x={"choice": [1]}))
    refused(error.value, "incompatible-run", "search.space.x")


def test_a_trial_that_is_run_again_keeps_what_is_searched_no_more(tmp_path: Path) -> None:
    study = opened(tmp_path, space())
    cut = study.ask(1, {}, {})
    assert cut is not None
    study.requeue(cut.trial, "stopped")
    again = opened(tmp_path, space(x=None)).ask(1, {}, {})
    assert again is not None
    assert again.values == cut.values


def test_a_changed_configuration_is_told(tmp_path: Path) -> None:
    def begin(chosen: dict[str, str], values: dict[str, Any]) -> list[str]:
        study = opened(tmp_path, space())
        study.begin(BaseConfig(chosen, values))
        return study.notes

    assert begin({"data": "iris", "optim": "sgd"}, {"epochs": 3, "x": 0, "optim.lr": 1}) == []
    assert begin({"data": "iris", "optim": "adam"}, {"epochs": 3, "x": 1, "optim.lr": 2}) == []  # these are searched
    (note,) = begin({"data": "wine", "optim": "adam"}, {"epochs": 5, "x": 1, "optim.lr": 2})
    assert "(data=iris -> wine, epochs=3 -> 5)" in note
