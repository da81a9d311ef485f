"""Trials that move to a study with another space: those that fit, once, and a reason for every other one (T6)."""

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
X, LR = parse_dimension("x", {"choice": [1, 2, 3]}), parse_dimension("optim.lr", {"log": [1e-4, 1e-1]}, "optim=sgd")
OLD = Space({"optim": ("sgd", "adam")}, (X, LR))
BASE = BaseConfig({"optim": "sgd", "data": "iris"}, {"x": 1, "optim.lr": 0.01, "epochs": 3})


def numbers(text: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", text)]


def made(folder: Path, name: str, space: Space, storage: str | None = None, rules: Rules = RULES) -> Study:
    (folder / name).mkdir(exist_ok=True)
    return Study(name, storage, folder / name, rules, space)


def tried(study: Study, params: dict[str, Any], end: str = "complete") -> None:
    study._study.enqueue_trial(params)
    proposal = study.ask(99, {}, {})
    assert proposal is not None
    study.report(proposal.trial, 1, 0.5)
    if end == "complete":
        study.complete(proposal.trial, float(proposal.values["x"]))
    elif end == "pruned":
        study.prune(proposal.trial)
    else:
        study.fail(proposal.trial, "crashed")


def filled(folder: Path, storage: str | None = None) -> Study:
    old = made(folder, "old", OLD, storage)
    old._identity.write(BASE, OLD)
    tried(old, {"optim": "sgd", "x": 1, "optim=sgd/optim.lr": 0.01})
    tried(old, {"optim": "sgd", "x": 2, "optim=sgd/optim.lr": 0.09}, "pruned")
    tried(old, {"optim": "adam", "x": 2})
    tried(old, {"optim": "sgd", "x": 3, "optim=sgd/optim.lr": 0.01})
    tried(old, {"optim": "sgd", "x": 1, "optim=sgd/optim.lr": 0.02}, "failed")
    return old


def test_the_trials_that_lie_in_the_new_space_are_copied_and_the_others_explained(tmp_path: Path) -> None:
    old = filled(tmp_path)
    before = [(trial.params, trial.value) for trial in old.trials()]
    narrow = parse_dimension("optim.lr", {"log": [1e-3, 5e-2]}, "optim=sgd")
    new = made(tmp_path, "new", Space(OLD.groups, (parse_dimension("x", {"choice": [0, 1, 2]}), narrow)))
    new.begin(BASE, "old")
    assert new.notes == [
        "2 trials of old copied; 3 not copied: failed (1); optim=sgd/optim.lr is outside (1); x is outside (1)"
    ]
    copied = new.trials()[1:]  # the first one is the configuration as written, which is still to run
    assert [(t.params, t.value, t.state.name) for t in copied] == [
        ({"optim": "sgd", "x": 1, "optim=sgd/optim.lr": 0.01}, 1.0, "COMPLETE"),
        ({"optim": "adam", "x": 2}, 2.0, "COMPLETE"),
    ]
    assert copied[0].intermediate_values == {1: 0.5}
    assert new.num_finished() == 2
    assert [(trial.params, trial.value) for trial in filled_again(tmp_path).trials()] == before


def filled_again(folder: Path) -> Study:
    return made(folder, "old", OLD)


def test_the_same_line_again_copies_nothing_twice(tmp_path: Path) -> None:
    old = filled(tmp_path)
    for expected in ([4, 1], [0, 4, 1]):
        new = made(tmp_path, "new", OLD)
        new.begin(BASE, "old")
        assert numbers(new.notes[0])[: len(expected)] == expected
    tried(old, {"optim": "adam", "x": 3})
    new = made(tmp_path, "new", OLD)
    new.begin(BASE, str(tmp_path / "old"))
    assert numbers(new.notes[0])[:2] == [1, 4]
    assert new.num_finished() == 5


def test_a_pruned_trial_stays_pruned_and_names_its_files(tmp_path: Path) -> None:
    old = filled(tmp_path)
    old._study.enqueue_trial({"optim": "adam", "x": 1})
    proposal = old.ask(99, {}, {})
    assert proposal is not None
    proposal.trial.set_user_attr("folder", "trials/0005")
    old.complete(proposal.trial, 1.0)
    new = made(tmp_path, "new", OLD)
    new.begin(BASE, "old")
    assert [trial.state.name for trial in new.trials()].count("PRUNED") == 1
    assert new.trials()[-1].user_attrs["folder"] == "../old/trials/0005"


def test_values_that_are_not_drawn_are_compared_as_they_were_written(tmp_path: Path) -> None:
    filled(tmp_path)
    for name, space, base, copied, reason in (
        ("fixed", Space(OLD.groups, (LR,)), BASE, 1, r"\bx\b.*\b1\b.* \(3\)"),
        ("data", OLD, BaseConfig({**BASE.choices, "data": "wine"}, BASE.values), 0, r"data=?.*wine"),
        ("longer", OLD, BaseConfig(BASE.choices, {**BASE.values, "epochs": 9}), 0, r"epochs=?.*9"),
        ("sgd", Space({}, (X, replace(LR, branch=""))), BASE, 3, r"optim=?.*sgd.*adam.* \(1\)"),
        ("more", Space(OLD.groups, (X, LR, parse_dimension("epochs", {"int": [1, 5]}))), BASE, 4, r"failed \(1\)"),
        ("new", Space(OLD.groups, (X, LR, parse_dimension("y", {"int": [1, 5]}))), BASE, 0, r"\by\b.* \(4\)"),
    ):
        study = made(tmp_path, name, space)
        study.begin(base, "old")
        assert numbers(study.notes[0])[0] == copied, study.notes
        assert re.search(reason, study.notes[0]), study.notes
        assert study.num_finished() == copied


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    with pytest.raises(ConfigError, match="--migrate=older: ") as error:
        made(tmp_path, "new", OLD).begin(BASE, "older")
    refused(error.value, "not-found", "--migrate")
    other = made(tmp_path, "other", OLD, rules=replace(RULES, maximize=True))
    with pytest.raises(ConfigError, match=r"minimize val/loss.*maximize val/loss") as error:
        other.begin(BASE, "old")
    refused(error.value, "incompatible-run", "--migrate")


def test_a_study_moves_into_a_database_and_within_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    filled(tmp_path)
    first = made(tmp_path, "first", OLD, url)
    first.begin(BASE, "old")
    second = made(tmp_path, "second", OLD, url)
    second.begin(BASE, "first")
    assert (first.num_finished(), second.num_finished()) == (4, 4)
