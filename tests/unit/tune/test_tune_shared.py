"""Trials of other machines, and the time that a study takes whoever works on it (T1, T5, T15)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlexp.tune.samplers import Rules
from dlexp.tune.search_space.space import Space, parse_dimension
from dlexp.tune.storage import requeue, time_used
from dlexp.tune.storage.worker_id import own_worker_id
from dlexp.tune.study import Proposal, Study

RULES = Rules("random", 0, 3, "none", 0, 0, 25.0, False, "val/loss", 10, stale_minutes=10.0)
SPACE = Space({}, (parse_dimension("x", {"float": [-1, 1]}),))
ELSEWHERE = "another-host:12:345:678"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1e9

    def time(self) -> float:
        return self.now

    monotonic = time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    for module in (requeue, time_used):
        monkeypatch.setattr(module, "time", found)
    monkeypatch.setattr("dlexp.tune.study.time", found)
    return found


def opened(folder: Path, rules: Rules = RULES) -> Study:
    return Study("s", None, folder, rules, SPACE)


def asked(study: Study, total: int = 9) -> Proposal:
    found = study.ask(total, {}, {})
    assert found is not None
    return found


def as_another_host(monkeypatch: pytest.MonkeyPatch, name: str = ELSEWHERE) -> None:
    monkeypatch.setattr(requeue, "own_worker_id", lambda: name)


def states(study: Study) -> list[str]:
    return ["requeued" if t.user_attrs.get("requeued") else t.state.name.lower() for t in study.trials()]


def test_a_silent_trial_of_another_host_is_run_again_and_no_other(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as there:
        as_another_host(there)
        far = opened(tmp_path)
        silent = asked(far)
    here = opened(tmp_path)
    clock.now += 9 * 60
    mine = asked(here)
    assert states(here) == ["running", "running"]
    assert here.num_elsewhere() == 1
    assert re.findall(r"\d+", here.progress()) == ["0", "1"]
    clock.now += 2 * 60
    again = asked(here)
    assert states(here) == ["requeued", "running", "running"]
    assert again.continues == silent.trial.number
    assert again.values == silent.values
    assert re.search(r"another-host .*10 minutes", here.trials()[0].user_attrs["reason"])
    assert mine.trial.number == 1


def test_a_process_that_says_it_lives_keeps_its_trials(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as there:
        as_another_host(there)
        far = opened(tmp_path)
        asked(far)
    for _ in range(30):  # an hour in which no epoch ends
        clock.now += 2 * 60
        far.beat()
    here = opened(tmp_path)
    asked(here)
    assert states(here) == ["running", "running"]


def test_the_end_of_a_trial_that_was_taken_for_dead_changes_nothing(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[Any] = [
        lambda study, trial: study.complete(trial, 0.1),
        lambda study, trial: study.prune(trial, "too long"),
        lambda study, trial: study.fail(trial, "crashed"),
        lambda study, trial: study.requeue(trial, "stopped"),
    ]
    for number, end in enumerate(ends):
        folder = tmp_path / str(number)
        with monkeypatch.context() as there:
            as_another_host(there)
            far = opened(folder)
            asleep = asked(far, 1)
        clock.now += 11 * 60
        here = opened(folder)
        again = asked(here, 1)
        clock.now += 60
        far.beat()
        assert far.report(asleep.trial, 1, 0.5)  # it is told to stop
        end(far, asleep.trial)
        assert states(here) == ["requeued", "running"]
        here.complete(again.trial, 0.3)
        assert [(trial.value, here.num_finished()) for trial in here.ranked()] == [(0.3, 1)]


def test_two_that_find_the_same_dead_trial_run_it_once(tmp_path: Path) -> None:
    study = opened(tmp_path)
    asked(study)
    requeue.requeue(study._study, 0, "its process was killed")
    requeue.requeue(study._study, 0, "its process was killed")
    assert states(study) == ["requeued", "waiting"]


def test_hours_are_counted_over_all_starts_and_once_for_those_side_by_side(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(tmp_path)
    clock.now += 600  # reading the data is no work on the study
    first.work_begins()
    clock.now += 1800
    assert first.hours() == pytest.approx(0.5)
    first.beat()
    clock.now += 36000  # nobody works on it
    second = opened(tmp_path)
    second.work_begins()
    clock.now += 900
    with monkeypatch.context() as there:
        there.setattr(time_used, "own_worker_id", lambda: ELSEWHERE)
        third = opened(tmp_path)
        third.work_begins()
    clock.now += 900
    second.beat()
    third.beat()
    assert second.hours() == pytest.approx(1.0)
    assert third.hours() == pytest.approx(1.0)
    assert opened(tmp_path).hours() == pytest.approx(1.0)


def test_signs_of_life_are_few(tmp_path: Path, clock: Clock) -> None:
    study = opened(tmp_path)
    asked(study)
    study.beat()
    size = (tmp_path / "study.journal").stat().st_size
    for _ in range(20):
        clock.now += 1
        study.beat()
    assert (tmp_path / "study.journal").stat().st_size == size
    quick = opened(tmp_path / "quick", replace(RULES, stale_minutes=0.1))
    quick.work_begins()
    quick.beat()
    size = (tmp_path / "quick" / "study.journal").stat().st_size
    clock.now += 2
    quick.beat()
    assert (tmp_path / "quick" / "study.journal").stat().st_size > size


def test_the_name_of_this_process_is_recorded(tmp_path: Path) -> None:
    study = opened(tmp_path)
    assert study.trials() == []
    asked(study)
    assert study.trials()[0].user_attrs["worker"] == own_worker_id()
