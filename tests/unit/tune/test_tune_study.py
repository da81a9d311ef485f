"""A study that is stopped, killed, reopened and crowded: the same trials, an exact total (T1, T3, T4, T6, T10, T15)."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from refusals import refused

from dlexp.errors import ConfigError
from dlexp.tune.samplers import PRUNERS, SAMPLERS, Rules
from dlexp.tune.search_space.space import Space, parse_dimension
from dlexp.tune.storage.backends import without_password
from dlexp.tune.study import BaseConfig, Study

SPACE = Space(
    {"optim": ("sgd", "adamw")},
    (
        parse_dimension("x", {"float": [-1, 1]}),
        parse_dimension("optim.lr", {"log": [1e-4, 1e-1]}, "optim=sgd"),
        parse_dimension("optim.momentum", {"float": [0, 0.9]}, "optim=sgd"),
        parse_dimension("optim.lr", {"log": [1e-4, 1e-1]}, "optim=adamw"),
    ),
)
FLAT = Space({}, (parse_dimension("x", {"float": [-1, 1]}),))
FINITE = Space({}, (parse_dimension("x", {"choice": [1, 2]}), parse_dimension("y", {"int": [0, 1]})))
RULES = Rules("tpe", 0, 3, "none", 0, 0, 25.0, False, "val/loss", 10)


def opened(folder: Path, rules: Rules = RULES, space: Space = SPACE) -> Study:
    return Study("s", None, folder, rules, space)


def run(study: Study, total: int) -> None:
    """Trials until there are none, judged by x alone."""
    while (proposal := study.ask(total, {}, {})) is not None:
        study.complete(proposal.trial, float(proposal.values["x"]) ** 2)


def params(study: Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.trials()]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_twenty_five_trials_are_the_same_in_one_go_and_in_three(tmp_path: Path, sampler: str) -> None:
    rules = replace(RULES, sampler=sampler)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = opened(tmp_path / "a", rules)
    run(whole, 25)
    for total in (4, 13, 25):
        run(opened(tmp_path / "b", rules), total)
    parts = opened(tmp_path / "b", rules)
    assert params(parts) == params(whole)
    assert len(params(whole)) == 25
    assert len({str(found) for found in params(whole)}) == 25
    assert [trial.value for trial in parts.trials()] == [trial.value for trial in whole.trials()]


def test_a_trial_that_was_cut_off_changes_no_later_trial(tmp_path: Path) -> None:
    rules = replace(RULES, sampler="random")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, cut = opened(tmp_path / "a", rules), opened(tmp_path / "b", rules)
    run(whole, 6)
    run(cut, 2)
    proposal = cut.ask(6, {}, {})
    assert proposal is not None
    cut.requeue(proposal.trial, "stopped")
    run(cut, 6)
    assert [trial.params for trial in cut.trials() if "requeued" not in trial.user_attrs] == params(whole)


def test_a_total_is_a_total(tmp_path: Path) -> None:
    study = opened(tmp_path)
    run(study, 3)
    assert study.ask(3, {}, {}) is None
    assert opened(tmp_path).num_finished() == 3
    first, second = study.ask(5, {}, {}), study.ask(5, {}, {})
    assert first is not None
    assert second is not None
    assert study.ask(5, {}, {}) is None  # two are under way
    study.fail(first.trial, "crashed")
    study.prune(second.trial)
    assert study.num_finished() == 5
    assert study.ask(5, {}, {}) is None


def test_a_trial_that_was_cut_off_twice_keeps_its_values_and_its_directory(tmp_path: Path) -> None:
    study = opened(tmp_path)
    first = study.ask(1, {}, {})
    assert first is not None
    study.requeue(first.trial, "stopped")
    assert study.num_finished() == 0
    second = study.ask(1, {}, {})
    assert second is not None
    assert (second.chosen, second.values, second.continues) == (first.chosen, first.values, 0)
    study.requeue(second.trial, "stopped")
    third = study.ask(1, {}, {})
    assert third is not None
    assert (third.trial.number, third.values, third.continues) == (2, first.values, 0)
    study.complete(third.trial, 1.0)
    assert study.num_finished() == 1
    assert study.ask(1, {}, {}) is None


def test_the_running_trial_of_a_dead_process_runs_again(tmp_path: Path) -> None:
    code = (
        "import os; from pathlib import Path; from test_tune_study import SPACE, BaseConfig, opened;"
        "study = opened(Path.cwd()); study.begin(BaseConfig({'optim': 'sgd'}, {'x': 0.5, 'optim.lr': 0.01}));"
        "[study.ask(9, {'optim': 'sgd'}, {'x': 0.5, 'optim.lr': 0.01}) for _ in range(2)]; os.kill(os.getpid(), 9)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    killed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    study = opened(tmp_path)
    before = study.trials()[:2]
    assert [trial.state for trial in study.trials()] == [TrialState.FAIL] * 2 + [TrialState.WAITING] * 2
    baseline, other = (study.ask(2, {"optim": "sgd"}, {"x": 0.5, "optim.lr": 0.01}) for _ in range(2))
    assert baseline is not None
    assert other is not None
    assert baseline.is_baseline
    assert (baseline.continues, other.continues) == (0, 1)
    assert [baseline.trial.params, other.trial.params] == [trial.params for trial in before]
    assert before[0].params == {"optim": "sgd", "x": 0.5, "optim=sgd/optim.lr": 0.01}


def test_a_trial_killed_before_it_drew_its_values_still_runs_as_planned(tmp_path: Path) -> None:
    study = opened(tmp_path)
    first = study.ask(1, {}, {})
    assert first is not None
    study.requeue(first.trial, "stopped")
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.journal"))
    )
    optuna.load_study(study_name="s", storage=storage).ask()  # and nothing more: it has no worker and no values
    again = opened(tmp_path).ask(1, {}, {})
    assert again is not None
    assert again.trial.params == first.trial.params


def test_the_baseline_is_as_written_even_outside_the_space(tmp_path: Path) -> None:
    study = opened(tmp_path)
    chosen, values = {"optim": "sgd"}, {"x": 7.0, "optim.lr": 0.01}
    study.begin(BaseConfig(chosen, values))
    study.begin(BaseConfig(chosen, values))
    proposal = study.ask(2, chosen, values)
    assert proposal is not None
    assert (proposal.is_baseline, proposal.chosen, proposal.values) == (True, chosen, {})
    assert proposal.trial.params == {"optim": "sgd", "optim=sgd/optim.lr": 0.01}
    other = study.ask(2, chosen, values)
    assert other is not None
    assert not other.is_baseline


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("pruner", [name for name in PRUNERS if name not in ("none", "patient")])
def test_nan_is_the_worst_for_every_pruner(tmp_path: Path, pruner: str, maximize: bool) -> None:
    study = opened(tmp_path, replace(RULES, pruner=pruner, maximize=maximize, percentile=50.0), FLAT)
    for _ in range(12):
        good = study.ask(99, {}, {})
        assert good is not None
        for epoch in range(1, 10):
            study.report(good.trial, epoch, 0.5)
        study.complete(good.trial, 0.5)
    bad = study.ask(99, {}, {})
    assert bad is not None
    assert any(study.report(bad.trial, epoch, math.nan) for epoch in range(1, 10))


@pytest.mark.parametrize("maximize", [False, True])
def test_nan_from_the_first_epoch_is_waited_for_no_longer_than_patience(tmp_path: Path, maximize: bool) -> None:
    study = opened(tmp_path, replace(RULES, pruner="patient", maximize=maximize, pruner_warmup_epochs=3), FLAT)
    bad = study.ask(99, {}, {})
    assert bad is not None
    assert [study.report(bad.trial, epoch, math.nan) for epoch in range(1, 6)] == [False, False, False, True, True]


@pytest.mark.parametrize("maximize", [False, True])
def test_nan_is_a_change_for_the_worse_for_the_patient_pruner(tmp_path: Path, maximize: bool) -> None:
    rules = replace(RULES, pruner="patient", maximize=maximize, pruner_warmup_epochs=1)
    study = opened(tmp_path, rules, FLAT)
    poor = 0.4 if maximize else 0.6
    for _ in range(5):
        good = study.ask(99, {}, {})
        assert good is not None
        assert not any(study.report(good.trial, epoch, 0.5) for epoch in range(1, 10))
        study.complete(good.trial, 0.5)
    steady, bad = study.ask(99, {}, {}), study.ask(99, {}, {})
    assert steady is not None
    assert bad is not None
    assert not any(study.report(steady.trial, epoch, poor) for epoch in range(1, 10))  # it gets no worse
    answers = [study.report(bad.trial, epoch, poor if epoch < 4 else math.nan) for epoch in range(1, 10)]
    assert answers.index(True) >= 3


def test_a_study_of_another_metric_or_direction_is_refused_by_name(tmp_path: Path) -> None:
    opened(tmp_path)
    with pytest.raises(ConfigError, match=r"minimize val/loss.*minimize val/mae") as error:
        opened(tmp_path, replace(RULES, metric="val/mae"))
    refused(error.value, "incompatible-run", "--name", "--name")
    with pytest.raises(ConfigError, match=r"minimize val/loss.*maximize val/loss"):
        opened(tmp_path, replace(RULES, maximize=True))
    assert opened(tmp_path).num_finished() == 0


def test_a_study_outlives_its_process(tmp_path: Path) -> None:
    study = opened(tmp_path)
    run(study, 4)
    again = opened(tmp_path)
    best, known = again.best(), study.best()
    assert best is not None
    assert known is not None
    assert (best.number, best.value, best.params) == (known.number, known.value, known.params)
    assert again.since_best() == 3 - best.number
    assert again.importances() == {}  # of four trials


def test_branch_parameters_have_importances(tmp_path: Path) -> None:
    study = opened(tmp_path)
    run(study, 20)
    assert {"x", "optim=sgd/optim.momentum", "optim=adamw/optim.lr"} <= set(study.importances())


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_proposes_or_names_its_package(tmp_path: Path, sampler: str) -> None:
    space = FINITE if sampler == "grid" else FLAT
    try:
        study = opened(tmp_path, replace(RULES, sampler=sampler), space)
        run(study, 4)
    except ConfigError as error:
        assert sampler in ("cmaes", "gp", "qmc")
        refused(error, "missing-package", "search.sampler", "pip install")
        return
    assert study.num_finished() == 4


def test_a_grid_ends_when_every_point_was_tried(tmp_path: Path) -> None:
    rules = replace(RULES, sampler="grid")
    study = opened(tmp_path, rules, FINITE)
    study.begin(BaseConfig({}, {"x": 2, "y": 0}))
    for total in (2, 9):
        study = opened(tmp_path, rules, FINITE)
        while (proposal := study.ask(total, {}, {"x": 2, "y": 0})) is not None:
            study.complete(proposal.trial, 1.0)
    tried = {tuple(found.values()) for found in params(study)}
    assert tried == {(1, 0), (1, 1), (2, 0), (2, 1)}
    assert study.num_finished() == 4  # the baseline is a point of the grid
    with pytest.raises(ConfigError) as error:
        Study("t", None, tmp_path, rules, FLAT)
    refused(error.value, "invalid-value", "search.sampler", "search.sampler=tpe")


def test_sixteen_that_open_one_study_at_once_do_not_crash(tmp_path: Path) -> None:
    rules = replace(RULES, sampler="random")  # which has no warning to silence: that is no matter for threads
    with ThreadPoolExecutor(16) as pool:
        studies = list(pool.map(lambda _: opened(tmp_path, rules), range(16)))
    assert [study.num_finished() for study in studies] == [0] * 16
    run(studies[0], 2)
    assert opened(tmp_path).num_finished() == 2


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    assert without_password("postgresql://me:s3c@ret@db:5432/x") == "postgresql://me:***@db:5432/x"
    assert without_password("sqlite:///a.db") == "sqlite:///a.db"
    with pytest.raises(ConfigError) as caught:
        Study("s", "nosuch://me:s3cret@db/x", tmp_path, RULES, SPACE)
    assert "s3cret" not in str(caught.value)
    assert "me:***@db" in str(caught.value)


def test_a_directory_with_a_journal_of_its_own_takes_no_study_of_a_database(tmp_path: Path) -> None:
    opened(tmp_path)
    with pytest.raises(ConfigError) as error:
        Study("s", f"sqlite:///{tmp_path}/other.db", tmp_path, RULES, SPACE)
    refused(error.value, "cannot-combine", "--storage", "--name")
    assert not (tmp_path / "other.db").exists()
