"""One trial, in this process: it continues, it is pruned, it is known again, and it never sees the test split (T13)."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore
from dlexp.artifacts.files.writing import read_json
from dlexp.assemble.experiment import assemble, build_data
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.data.bundle import Split
from dlexp.errors import Diverged, Interrupted
from dlexp.workflows.tune.trial import Job, SeldomSaved, known_value, run_trial

WORDS = ("data=iris", "trainer.epochs=6", "model.hidden=[8]", "trainer.test=true")


class Untouchable(Split):
    """A split that may be counted, and not looked at."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("inputs", "targets", "indices", "to"):
            raise AssertionError(f"the test split was read ({name})")
        return super().__getattribute__(name)


def job(folder: Path, *words: str) -> Job:
    config = load((*WORDS, *words), Catalog())
    bundle = build_data(config)
    test = bundle.splits["test"]
    hidden = Untouchable(test.inputs, test.targets, test.indices)
    return Job(config, (), folder, (), replace(bundle, splits={**bundle.splits, "test": hidden}), 1)


def always(epoch: int, value: float) -> bool:
    return True


def asked(seen: list[int], stop_at: int = 0, prune_at: int = 0) -> Callable[[int, float], bool]:
    """An answer to every epoch, which is noted in `seen`; at one of them a signal comes, or a no."""

    def go_on(epoch: int, value: float) -> bool:
        seen.append(epoch)
        if epoch == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return epoch != prune_at

    return go_on


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k not in ("seconds", "samples_per_s")} for row in csv.DictReader(file)]


def test_a_trial_never_reads_the_test_split(tmp_path: Path) -> None:
    given = job(tmp_path / "t")
    result = run_trial(given, always)
    assert result == read_json(tmp_path / "t" / "result.json")
    assert (result["first_epoch"], result["epochs"], result["pruned"]) == (1, 6, False)
    assert result["value"] == min(float(row["val/loss"]) for row in history(tmp_path / "t"))
    assert not (tmp_path / "t" / "eval").exists()
    with pytest.raises(AssertionError, match="the test split was read"):  # which it would have noticed
        next(iter(assemble(given.config, (), given.bundle).split("test")))


def test_a_trial_that_was_stopped_continues_from_its_checkpoint_to_the_same_numbers(tmp_path: Path) -> None:
    whole = run_trial(job(tmp_path / "whole"), always)
    cut = job(tmp_path / "cut")
    seen: list[int] = []
    with pytest.raises(Interrupted):
        run_trial(cut, asked(seen, stop_at=2))
    assert (cut.folder / "checkpoints" / "last.pt").is_file()
    assert not (cut.folder / "result.json").exists()
    assert known_value(cut) is None
    with pytest.raises(Interrupted):  # and a second time
        run_trial(cut, asked(seen, stop_at=4))
    again = run_trial(cut, asked(seen))
    assert seen == [1, 2, 3, 4, 5, 6]
    assert again == {**whole, "first_epoch": 5}
    assert history(cut.folder) == history(tmp_path / "whole")


def test_a_trial_is_pruned_at_the_epoch_that_was_answered(tmp_path: Path) -> None:
    seen: list[int] = []
    result = run_trial(job(tmp_path / "t"), asked(seen, prune_at=3))
    assert seen == [1, 2, 3]
    assert (result["epochs"], result["pruned"]) == (3, True)
    assert result["value"] == min(float(row["val/loss"]) for row in history(tmp_path / "t"))


@pytest.mark.parametrize(("monitor", "pick"), [("val/loss", min), ("val/accuracy", max)])
def test_a_trial_counts_with_its_best_epoch_however_little_better_it_was(
    tmp_path: Path, monitor: str, pick: Callable[[list[float]], float]
) -> None:
    words = ("regularization.early_stopping.min_delta=100", f"trainer.monitor={monitor}")
    result = run_trial(job(tmp_path / "t", *words), always)
    values = [float(row[monitor]) for row in history(tmp_path / "t")]
    assert values[0] != pick(values)  # from which patience counts, with so large a min_delta
    assert result["value"] == pick(values)
    assert result["best_epoch"] == values.index(pick(values)) + 1


def test_a_result_is_known_for_the_same_configuration_and_no_other(tmp_path: Path) -> None:
    done = run_trial(job(tmp_path / "t"), always)
    assert known_value(job(tmp_path / "t")) == done["value"]
    assert known_value(job(tmp_path / "t", "seed=7")) is None
    assert known_value(job(tmp_path / "other")) is None


def test_a_trial_whose_loss_is_not_finite_says_so(tmp_path: Path) -> None:
    with pytest.raises(Diverged):
        run_trial(job(tmp_path / "t", "optim=sgd", "optim.lr=1e30", "trainer.clip_norm=null"), always)
    assert not (tmp_path / "t" / "result.json").exists()


@pytest.mark.parametrize(("together", "saves"), [(1, range(15, 20)), (16, range(2, 3))])
def test_trials_of_a_stack_save_less_often_each(monkeypatch: pytest.MonkeyPatch, together: int, saves: range) -> None:
    now, count = [0.0], [0]

    class Slow:
        def save_last(self, state: Any) -> None:
            now[0] += 0.1
            count[0] += 1

    monkeypatch.setattr("dlexp.workflows.tune.trial.time.monotonic", lambda: now[0])
    sink = SeldomSaved(cast(CheckpointStore, Slow()), together)
    while now[0] < 100:
        sink.save({})
        now[0] += 0.5
    assert count[0] in saves
