"""The driver of the benchmarks: whose turn it is, what is counted, and what is made of it."""

from __future__ import annotations

import io
import json
import math
import time

import pytest

from benchmarks.harness import driver
from benchmarks.harness.driver import Measured, Segment, System, measure, ratios, summary, table
from benchmarks.harness.turns import Turns
from benchmarks.training.train_speed import digits, fixed, report

TOY = "tests.unit.benchmarks.toy_workload"


def segment(rate: float, disturbed: bool = False, cpu: float = 1.0) -> Segment:
    span = {"wall": 2.0, "cpu": 2.0 * cpu, "samples": 2 * rate, "times": 1}
    return Segment({"steps": span, "epochs": span}, foreign=0.0, waited=0.0, peak=1, disturbed=disturbed)


def measured(*segments: Segment) -> Measured:
    return Measured(System("x", "", {}), list(segments))


def test_a_ratio_is_taken_within_a_round_and_its_median_told() -> None:
    limit = measured(segment(100), segment(50), segment(200))  # the machine was slow, then fast, for both
    ours = measured(segment(90), segment(40), segment(190))
    found = ratios(ours, limit, "steps", "wall")
    assert (found.median, found.low, found.high) == (0.9, 0.8, 0.95)
    assert (found.n, found.left_out) == (3, 0)
    assert ratios(ours, measured(*[segment(100, cpu=0.5)] * 3), "steps", "cpu").median == 0.45


def test_a_round_that_was_disturbed_on_either_side_is_left_out_and_counted() -> None:
    limit = measured(segment(100), segment(100, disturbed=True), segment(100), segment(100))
    ours = measured(segment(90), segment(10), segment(10, disturbed=True), segment(80))
    found = ratios(ours, limit, "steps", "wall")
    assert found.median == pytest.approx(0.85)
    assert (found.low, found.n, found.left_out) == (0.8, 2, 2)


def test_where_every_round_was_disturbed_all_count_and_the_table_says_how_many() -> None:
    limit, ours = measured(segment(100, True)), measured(segment(70, True))
    found = ratios(ours, limit, "steps", "wall")
    assert (found.median, found.n, found.left_out) == (0.7, 1, 1)
    assert report("a", [limit, ours])[1][3:7] == ["0.700 (0.700-0.700)", "0.700 (0.700-0.700)", "1", "1"]


def test_an_epochs_cost_is_told_in_updates() -> None:
    spans = {
        "epochs": {"wall": 30.0, "cpu": 30.0, "samples": 200, "times": 2},
        "steps": {"wall": 18.0, "cpu": 18.0, "samples": 180, "times": 2},  # a sample 0.1 s, an update of ten 1 s
        "ending": {"wall": 6.0, "cpu": 6.0, "samples": 200, "times": 2},
        "opening": {"wall": 6.0, "cpu": 6.0, "samples": 20, "times": 2},  # of 3 s one is the update
    }
    cells = fixed("b", measured(Segment(spans, 0.0, 0.0, 1, False)))
    assert cells[2:5] == ["3.000 (3.000-3.000)", "2.000 (2.000-2.000)", f"{5 / 15:.3f} (0.333-0.333)"]


def test_spans_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(time, "process_time", lambda: now[0] / 2)
    orders = io.StringIO('{"epochs": 2}\n')
    output: list[str] = []

    class Channel(io.StringIO):
        def readline(self, size: int | None = -1) -> str:  # type: ignore[override]
            return orders.readline()

        def write(self, text: str) -> int:
            output.append(text)
            return len(text)

    turns = Turns(Channel(), warm_up=1)
    turns.epoch(30)
    with pytest.raises(SystemExit):  # the driver has no more turns
        for _ in range(2):
            for number in (1, 2, 3):
                now[0] += 4.0 if number == 1 else 1.0
                turns.step(number, 3, 10 * number)
            now[0] += 2.0
            turns.epoch(30)
    assert "facts" in json.loads(output[0])
    spans = json.loads(output[1])
    assert spans["steps"] == {"wall": 4.0, "cpu": 2.0, "samples": 40, "times": 2}
    assert spans["opening"] == {"wall": 8.0, "cpu": 4.0, "samples": 20, "times": 2}
    assert spans["ending"] == {"wall": 4.0, "cpu": 2.0, "samples": 60, "times": 2}
    assert spans["epochs"] == {"wall": 16.0, "cpu": 8.0, "samples": 60, "times": 2}


def test_processes_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    usual = driver.Child.segment

    def noted(self: driver.Child, epochs: int) -> Segment:
        order.append(self._name)
        return usual(self, epochs)

    monkeypatch.setattr(driver.Child, "segment", noted)
    first = System("A", f"{TOY}:count", {"batches": 3, "samples": 5}, warm_up=2, epochs=4)
    second = System("B", f"{TOY}:count", {"batches": 1, "samples": 2}, epochs=7)
    a, absent, b = measure([first, System("none", f"{TOY}:absent", {}), second], rounds=2, threads=1, timeout=60)
    assert order == ["A", "B", "B", "A"]
    assert (absent.missing, absent.segments) == ("moonshine is not installed", [])
    assert (a.facts["batches"], b.facts["batches"]) == (3, 1)
    for one in a.segments:
        assert (one.spans["epochs"]["times"], one.spans["epochs"]["samples"]) == (4, 60)
        assert (one.spans["steps"]["times"], one.spans["steps"]["samples"]) == (4, 40)  # the first of three is not
        assert one.peak > 1 << 20
        assert one.foreign >= 0
        assert one.waited >= 0
    assert [one.spans["epochs"]["samples"] for one in b.segments] == [14, 14]


@pytest.mark.parametrize("after", [0, 2])
def test_a_process_that_dies_is_told_with_its_last_words(after: int) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)X gave no report.*the last straw"):
        measure([System("X", f"{TOY}:die", {"after": after})], rounds=3, threads=1, timeout=60)


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    assert str(summary([3.0, 1.0, 2.0])) == "2.000 (1.000-3.000)"


def test_row_a_runs_the_command_against_the_limit() -> None:
    limit, ours = measure([*digits("a", 1)[:2]], rounds=1, threads=1, timeout=120)
    for one in (limit, ours):
        assert one.segments[0].spans["epochs"]["samples"] == 1259
        assert one.segments[0].spans["steps"]["samples"] == 1259 - 64
    assert ours.facts["display"] == "LiveTraining"
    assert "fp32" in ours.facts["machine"]
    assert math.isfinite(ratios(ours, limit, "epochs", "cpu").median)
