from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from dlexp.artifacts.runs.metrics_log import MetricsLog, read_metrics


def row(epoch: int) -> dict[str, float | int]:
    return {"epoch": epoch, "step": 10 * epoch, "val/loss": 1 / (epoch + 2), "seconds": 12.75}


def filled(folder: Path, epochs: int = 3) -> MetricsLog:
    log = MetricsLog(folder)
    for epoch in range(1, epochs + 1):
        log.step({"epoch": epoch, "step": 10 * epoch - 5, "lr": 0.1})
        log.step({"epoch": epoch, "step": 10 * epoch, "lr": 0.1})
        log.epoch(row(epoch))
    return log


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def epochs(folder: Path) -> list[int]:
    return [int(line["epoch"]) for line in read_metrics(folder / "metrics.csv")[1]]


def test_rows_come_back_with_every_digit(tmp_path: Path) -> None:
    filled(tmp_path)
    columns, rows = read_metrics(tmp_path / "metrics.csv")
    assert columns == list(row(1))
    assert [{name: float(cell) for name, cell in line.items()} for line in rows] == [row(n) for n in (1, 2, 3)]


def test_jsonl_holds_steps_and_epochs_in_order_with_null_for_nan(tmp_path: Path) -> None:
    log = filled(tmp_path, 1)
    log.epoch({**row(2), "val/loss": math.nan})
    found = records(tmp_path)
    assert [record["kind"] for record in found] == ["step", "step", "epoch", "epoch"]
    assert found[3]["val/loss"] is None
    assert math.isnan(float(read_metrics(tmp_path / "metrics.csv")[1][1]["val/loss"]))


def test_a_column_that_the_first_row_did_not_have_is_an_error(tmp_path: Path) -> None:
    log = filled(tmp_path)
    with pytest.raises(ValueError, match=r"\['val/new'\]"):
        log.epoch({**row(4), "val/new": 1.0})
    assert epochs(tmp_path) == [1, 2, 3]


def test_a_column_that_is_missing_is_an_empty_cell(tmp_path: Path) -> None:
    filled(tmp_path).epoch({"epoch": 4, "step": 40})
    assert read_metrics(tmp_path / "metrics.csv")[1][3]["val/loss"] == ""


def test_rewinding_forgets_what_lies_behind_the_checkpoint(tmp_path: Path) -> None:
    filled(tmp_path)
    log = MetricsLog(tmp_path)
    log.rewind(epoch=1, step=15)
    assert epochs(tmp_path) == [1]
    places = [(r["kind"], r["step"]) for r in records(tmp_path)]
    assert places == [("step", 5), ("step", 10), ("epoch", 10), ("step", 15)]
    log.epoch(row(2))
    assert epochs(tmp_path) == [1, 2]


def test_columns_stay_fixed_after_rewinding_to_the_beginning(tmp_path: Path) -> None:
    filled(tmp_path)
    log = MetricsLog(tmp_path)
    log.rewind(0, 0)
    assert read_metrics(tmp_path / "metrics.csv") == (list(row(1)), [])
    with pytest.raises(ValueError, match="other"):
        log.epoch({"epoch": 1, "other": 2.0})


@pytest.mark.parametrize("cut", range(1, 15))
def test_a_torn_last_line_is_dropped_wherever_it_tore(tmp_path: Path, cut: int) -> None:
    filled(tmp_path)
    for name in ("metrics.csv", "metrics.jsonl"):
        content = (tmp_path / name).read_text()
        (tmp_path / name).write_text(content[:-cut])
    assert epochs(tmp_path) == [1, 2]
    MetricsLog(tmp_path).rewind(3, 30)
    assert epochs(tmp_path) == [1, 2]
    assert (tmp_path / "metrics.csv").read_text().endswith("\n")
    if cut > 1:  # without its line break alone the record is whole
        assert records(tmp_path)[-1] == {"kind": "step", "epoch": 3, "step": 30, "lr": 0.1}


def test_there_is_nothing_to_rewind_in_a_new_run(tmp_path: Path) -> None:
    MetricsLog(tmp_path).rewind(0, 0)
    assert list(tmp_path.iterdir()) == []
    assert read_metrics(tmp_path / "metrics.csv") == ([], [])
    (tmp_path / "metrics.csv").touch()
    assert read_metrics(tmp_path / "metrics.csv") == ([], [])


def test_words_get_a_time_in_front(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path)
    log.say("hello")
    log.say("again")
    first, second = (tmp_path / "train.log").read_text().splitlines()
    assert first.endswith("+00:00 hello")
    assert second.endswith(" again")


def test_records_of_steps_wait_for_their_epoch_a_flush_or_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("dlexp.artifacts.runs.metrics_log.time.monotonic", lambda: now[0])
    log = MetricsLog(tmp_path)
    log.step({"epoch": 1, "step": 1})  # the first is written at once
    log.step({"epoch": 1, "step": 2})
    assert [record["step"] for record in records(tmp_path)] == [1]
    now[0] += 1.0
    log.step({"epoch": 1, "step": 3})
    assert [record["step"] for record in records(tmp_path)] == [1, 2, 3]
    log.step({"epoch": 1, "step": 4})
    log.flush()
    log.step({"epoch": 1, "step": 5})
    log.epoch({"epoch": 1, "step": 5, "val/loss": 0.5})
    assert [record["step"] for record in records(tmp_path)] == [1, 2, 3, 4, 5, 5]
    log.step({"epoch": 2, "step": 6})
    log.rewind(1, 5)  # also what waits
    assert [record["step"] for record in records(tmp_path)] == [1, 2, 3, 4, 5, 5]
    log.flush()
    assert len(records(tmp_path)) == 6
