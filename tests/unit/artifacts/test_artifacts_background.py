"""Saving beside training: the newest state counts, nothing waits for a disk, and every end is written."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from dlexp.artifacts.checkpoints import background
from dlexp.artifacts.checkpoints.background import BackgroundCheckpoints
from dlexp.errors import DlexpError, Interrupted


class Slow:
    """A store whose writes last until they are let go."""

    def __init__(self) -> None:
        self.go, self.begun = threading.Event(), threading.Event()
        self.written: list[tuple[str, Any]] = []
        self.error: Exception | None = None

    def save(self, state: Mapping[str, Any], best: Mapping[str, Any] | None = None) -> None:
        self.begun.set()
        assert self.go.wait(30)
        if self.error:
            raise self.error
        self.written += [(name, each["x"]) for name, each in (("best", best), ("last", state)) if each is not None]


def test_the_caller_does_not_wait_and_of_states_that_wait_the_newest_counts() -> None:
    store = Slow()
    with BackgroundCheckpoints(store) as saving:
        saving.save({"x": 0})
        assert store.begun.wait(30)
        for number in range(1, 5):  # while the first is being written
            saving.save({"x": number}, best={"x": -number})
        assert store.written == []
        store.go.set()
    assert store.written == [("last", 0), ("best", -4), ("last", 4)]


def test_what_training_changes_after_the_save_is_not_in_it() -> None:
    store, weight = Slow(), torch.zeros(2)
    with BackgroundCheckpoints(store) as saving:
        saving.save({"x": {"weights": [weight]}})
        weight.add_(1)
        store.go.set()
    assert store.written[0][1]["weights"][0].tolist() == [0, 0]


def test_what_both_files_hold_is_copied_once() -> None:
    store, weight, moment = Slow(), torch.zeros(2), torch.ones(2)
    with BackgroundCheckpoints(store) as saving:
        saving.save({"x": {"weights": weight, "moment": moment}}, best={"x": {"weights": weight}})
        store.go.set()
    best, last = (state for _, state in store.written)
    assert best["weights"] is last["weights"] is not weight
    assert last["moment"] is not moment


def test_it_rests_between_writes_and_an_end_does_not_wait_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_REST", 1e9)  # a rest of years, were it waited for
    store = Slow()
    store.go.set()
    with BackgroundCheckpoints(store) as saving:
        saving.save({"x": 0})
        assert store.begun.wait(30)
        saving.save({"x": 1})
        saving.save({"x": 2})
    assert store.written[-1] == ("last", 2)
    assert len(store.written) <= 2


@pytest.mark.parametrize(("seconds", "rest"), [(0.004, 0.396), (0.02, 1.0), (0.5, 9.5), (10.0, 190.0)])
def test_a_write_is_followed_by_a_rest_of_its_size(seconds: float, rest: float) -> None:
    assert background.rest_after(seconds) == pytest.approx(rest)


def test_runs_that_are_trained_in_turn_share_the_time_of_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    wait = threading.Condition.wait_for

    def noted(self: threading.Condition, predicate: Any, timeout: float | None = None) -> Any:
        if timeout is not None:
            rests.append(timeout)
            timeout = 0.0
        return wait(self, predicate, timeout)

    monkeypatch.setattr(background, "rest_after", lambda seconds: 0.25)
    monkeypatch.setattr(threading.Condition, "wait_for", noted)
    for together in (1, 10):
        store = Slow()
        store.go.set()
        with BackgroundCheckpoints(store, together) as saving:
            saving.save({"x": 0})
    assert rests == [0.25, 2.5]


def save(store: Slow, *numbers: int, then: BaseException | None = None) -> None:
    """Save each number, the first of them until its write has begun, and leave with `then`."""
    with BackgroundCheckpoints(store) as saving:
        for number in numbers:
            saving.save({"x": number})
            assert store.begun.wait(30)
        if then is not None:
            raise then


@pytest.mark.parametrize("error", [None, Interrupted("stopped", 75), ValueError("wrong")])
def test_every_end_writes_what_waits(error: Exception | None) -> None:
    store = Slow()
    store.go.set()
    if error is None:
        save(store, 7)
    else:
        with pytest.raises(type(error), match=str(error)):
            save(store, 7, then=error)
    assert store.written == [("last", 7)]


def broken() -> Slow:
    store = Slow()
    store.error = DlexpError("the disk is full")
    store.go.set()
    return store


def test_a_write_that_fails_is_told_by_a_later_save(monkeypatch: pytest.MonkeyPatch) -> None:
    store = broken()
    with pytest.raises(DlexpError, match="the disk is full"):
        save(store, *range(100_000))
    assert store.written == []


def test_a_last_write_that_fails_takes_back_the_word_that_all_is_saved() -> None:
    with pytest.raises(DlexpError, match="the disk is full"):
        save(broken(), 0, then=Interrupted("saved at epoch 3", 75))


def test_beside_another_error_a_failed_write_is_a_note() -> None:
    with pytest.raises(ValueError, match="wrong") as caught:
        save(broken(), 0, then=ValueError("wrong"))
    assert "the disk is full" in caught.value.__notes__[0]
