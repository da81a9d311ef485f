from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_toys import BATCHES, AskedStop, Run, differences

from dlexp.artifacts.checkpoints.checkpoint import read_checkpoint
from dlexp.engine.loop import EpochRecord, StepRecord
from dlexp.errors import Interrupted

SCHEDULES = ("constant", "cosine", "onecycle", "plateau", "warmup")
Place = Callable[[Run, AskedStop], None]


def at_update(run: Run, stop: AskedStop, epoch: int, update: int) -> None:
    """Stop after an update of an epoch, both from 1."""
    per_epoch = -(-BATCHES // run.accumulate)

    def watch(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, StepRecord) and record.step == (epoch - 1) * per_epoch + update:
            stop.ask()

    run.observers.append(watch)


def mid_epoch(run: Run, stop: AskedStop) -> None:
    at_update(run, stop, 2, 1)


def last_batch(run: Run, stop: AskedStop) -> None:
    at_update(run, stop, 2, -(-BATCHES // run.accumulate))


def in_validation(run: Run, stop: AskedStop) -> None:
    run.on_read = lambda evaluation, batch: stop.ask() if (evaluation, batch) == (2, 2) else None


def at_epoch_end(run: Run, stop: AskedStop) -> None:
    run.observers.append(lambda record: stop.ask() if isinstance(record, EpochRecord) and record.epoch == 1 else None)


PLACES: dict[str, Place] = {f.__name__: f for f in (mid_epoch, last_batch, in_validation, at_epoch_end)}


def test_every_schedule_of_the_matrix_moves_the_rate_as_its_name_says(
    uninterrupted: Callable[[str, int], tuple[Path, list[Any]]],
) -> None:
    rates = {name: len({row["lr"] for row in uninterrupted(name, 1)[1]}) for name in SCHEDULES}
    assert rates.pop("constant") == 1
    assert min(rates.values()) > 1


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], tuple[Path, list[Any]]]:
    @cache
    def train(scheduler: str, accumulate: int) -> tuple[Path, list[Any]]:
        run = Run(tmp_path_factory.mktemp("whole"), scheduler, accumulate)
        run.fit()
        return run.folder, run.rows

    return train


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("scheduler", SCHEDULES)
@pytest.mark.parametrize("place", PLACES)
def test_a_stopped_run_ends_with_the_bits_of_one_that_never_stopped(
    tmp_path: Path,
    uninterrupted: Callable[[str, int], tuple[Path, list[Any]]],
    place: str,
    scheduler: str,
    accumulate: int,
) -> None:
    stop, first = AskedStop(), Run(tmp_path, scheduler, accumulate)
    PLACES[place](first, stop)
    with pytest.raises(Interrupted) as caught:
        first.fit(stop)
    assert caught.value.exit_code == 75
    assert len(first.rows) == 1
    torch.rand(17)  # nothing may depend on what ran before
    second = Run(tmp_path, scheduler, accumulate)
    second.fit()
    whole, rows = uninterrupted(scheduler, accumulate)
    for name in ("last.pt", "best.pt"):
        assert differences(read_checkpoint(tmp_path / name), read_checkpoint(whole / name)) == []
    assert first.rows + second.rows == rows


@pytest.mark.parametrize(("place", "position"), [("mid_epoch", 1), ("last_batch", BATCHES), ("in_validation", BATCHES)])
def test_a_stop_is_saved_where_it_came(tmp_path: Path, place: str, position: int) -> None:
    stop, run = AskedStop(), Run(tmp_path)
    PLACES[place](run, stop)
    with pytest.raises(Interrupted, match=f"SIGTERM received; saved at epoch 2, batch {position}"):
        run.fit(stop)
    saved = read_checkpoint(tmp_path / "last.pt")
    assert saved["position"] == {"epoch": 1, "batch": position, "step": BATCHES + position}


def test_a_stop_at_the_end_of_an_epoch_says_so(tmp_path: Path) -> None:
    stop, run = AskedStop(), Run(tmp_path)
    at_epoch_end(run, stop)
    with pytest.raises(Interrupted, match="saved at the end of epoch 1"):
        run.fit(stop)


class Killed(BaseException):
    """As far as Python can: the loop is left without a chance to save."""


def kill_at(run: Run, step: int) -> None:
    def watch(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, StepRecord) and record.step == step:
            raise Killed

    run.observers.append(watch)


@pytest.mark.parametrize(
    ("scheduler", "accumulate", "every"), [("onecycle", 1, 2), ("plateau", 1, 3), ("warmup", 3, 1)]
)
def test_a_killed_run_goes_on_from_the_last_save_within_the_epoch(
    tmp_path: Path,
    uninterrupted: Callable[[str, int], tuple[Path, list[Any]]],
    scheduler: str,
    accumulate: int,
    every: int,
) -> None:
    per_epoch = -(-BATCHES // accumulate)
    killed_at = per_epoch + (2 if accumulate > 1 else 5)
    first = Run(tmp_path, scheduler, accumulate, save_every_steps=every)
    kill_at(first, killed_at)
    with pytest.raises(Killed):
        first.fit()
    saved = read_checkpoint(tmp_path / "last.pt")
    assert saved["position"]["batch"] > 0
    assert killed_at - every <= saved["position"]["step"] < killed_at
    second = Run(tmp_path, scheduler, accumulate, save_every_steps=every)
    second.fit()
    whole, rows = uninterrupted(scheduler, accumulate)
    assert differences(read_checkpoint(tmp_path / "last.pt"), read_checkpoint(whole / "last.pt")) == []
    assert first.rows + second.rows == rows


def test_saving_within_epochs_does_not_change_the_result(
    tmp_path: Path, uninterrupted: Callable[[str, int], tuple[Path, list[Any]]]
) -> None:
    run = Run(tmp_path, save_every_steps=2)
    run.fit()
    whole, rows = uninterrupted("constant", 1)
    assert differences(read_checkpoint(tmp_path / "last.pt"), read_checkpoint(whole / "last.pt")) == []
    assert run.rows == rows


def test_a_run_stopped_again_and_again_ends_with_the_same_bits(
    tmp_path: Path, uninterrupted: Callable[[str, int], tuple[Path, list[Any]]]
) -> None:
    rows: list[Any] = []
    stops = 0
    while True:
        stop, run = AskedStop(), Run(tmp_path, "cosine")
        at_update(run, stop, 1, stops + 1)
        try:
            run.fit(stop)
        except Interrupted:
            stops += 1
            rows += run.rows
            continue
        rows += run.rows
        break
    whole, expected = uninterrupted("cosine", 1)
    assert stops == 3 * BATCHES
    assert differences(read_checkpoint(tmp_path / "last.pt"), read_checkpoint(whole / "last.pt")) == []
    assert rows == expected


def test_another_seed_gives_other_bits(
    tmp_path: Path, uninterrupted: Callable[[str, int], tuple[Path, list[Any]]]
) -> None:
    run = Run(tmp_path, seed=4)
    run.fit()
    whole, _ = uninterrupted("constant", 1)
    assert differences(read_checkpoint(tmp_path / "last.pt"), read_checkpoint(whole / "last.pt"))


def test_a_run_made_longer_goes_on_at_the_rates_of_its_new_length(tmp_path: Path) -> None:
    Run(tmp_path, "cosine", epochs=2).fit()
    longer = Run(tmp_path, "cosine", epochs=4)
    longer.fit()
    assert [row["epoch"] for row in longer.rows] == [3, 4]
    last_update = torch.tensor(20 / 28 * torch.pi)  # number 20, from 0, of 4 epochs of 7
    assert longer.rows[0]["lr"] == pytest.approx(0.1 * 0.5 * (1 + torch.cos(last_update).item()))
