"""What a person sees of an evaluation beside simple models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dlexp.cli.views.results import evaluate as view
from dlexp.report.pages.evaluation import evaluated_section
from dlexp.report.pages.run_contents import Evaluated

COUNTS = {"baselines": {"5-gram (Witten-Bell)": {"bits_per_token": 2.25}, "xz": {"bits_per_byte": 3.5}}}
INTERVAL = {"low": -2.5, "high": -1.5, "undefined": 0, "reason": "", "method": "block means"}
BESIDE = {"mae": 7.25, "difference": -2.0, "interval": INTERVAL, "verdict": "model better"}
FORECASTS = {"references": {"naive": BESIDE}}


def content(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "run": "outputs/train/a",
        "split": "test",
        "samples": 9,
        "checkpoint": "best",
        "metrics": {"mae": 5.25},
        "bootstrap": None,
        "intervals": {},
        "undefined": {},
        "data_as_trained": True,
        "changed_since_training": [],
        "split_accesses": 1,
        **found,
    }


@pytest.mark.parametrize(
    ("found", "told"),
    [(COUNTS, ["5-gram (Witten-Bell)", "2.25", "3.5"]), (FORECASTS, ["7.25", "-2.5 to -1.5", "model better"])],
)
def test_simple_models_are_told_once_and_in_figures(
    found: dict[str, Any],
    told: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    view.evaluation(content(found))
    printed = capsys.readouterr().out
    assert all(printed.count(text) == 1 for text in told)
    assert "block means" not in printed
    shown = "".join(map(str, evaluated_section(Evaluated("test", content(found), {}, {})).parts))
    assert "block means" not in shown
    assert ("xz" in shown) == ("xz" in str(found))


def test_figures_of_samples_have_those_of_real_data_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    metrics = {"loss": 0.125, "frechet": 3.25, "frechet_floor": 1.75, "near_copies": 0.0625}
    found = content({"metrics": metrics, "floors": {"frechet": 1.75, "near_copies": 0.01}})
    view.evaluation(found)
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line.split()}
    assert lines["metric"] == ["value", "real", "data"]
    assert lines["frechet"] == ["3.25", "1.75"]
    assert lines["near_copies"] == ["6.25", "%", "1.00", "%"]
    assert lines["loss"] == ["0.125"]
    assert "frechet_floor" not in lines
    shown = "".join(map(str, evaluated_section(Evaluated("test", found, {}, {})).parts))
    assert "real data" in shown
    assert "6.25 %" in shown
    assert "1.00 %" in shown
