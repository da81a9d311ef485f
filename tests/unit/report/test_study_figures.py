"""The plots of a study: whole pictures of whatever a study can hold, without a display (T16)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from test_report_figures import size

from dlexp.report.figures.curves import as_png
from dlexp.report.figures.study import figures

pytestmark = pytest.mark.pictures

ALL = {"history", "intermediate", "importances", "parallel", "slices"}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are drawn, in order, before they become pictures, which takes most of the time."""
    found: list[Any] = []

    def keep(figure: Any) -> bytes:
        found.append(figure)
        return b""

    monkeypatch.setattr("dlexp.report.figures.study.as_png", keep)
    return found


def trial(number: int, value: float | None, state: str = "complete", **params: Any) -> dict[str, Any]:
    epochs = {} if value is None else {1: 2 * value, 2: value}
    return {"number": number, "state": state, "value": value, "params": params, "epochs": epochs}


TRIALS = [
    trial(0, 0.5, lr=1e-3, optim="sgd", width=16, momentum=0.9),
    trial(1, 0.9, "pruned", lr=1e-1, optim="adamw", width=64),
    trial(2, 0.3, lr=1e-4, optim="adamw", width=64),
    trial(3, 0.4, lr=1e-2, optim="adamw", width=32),
]


def axes_of(figure: Any) -> list[Any]:
    return list(figure.axes)


def test_every_plot_is_a_picture() -> None:
    pictures = figures(TRIALS, {"lr": 0.7, "optim": 0.3}, "val/loss", False, {"lr"})
    assert pictures.keys() == ALL
    for picture in pictures.values():
        width, height = size(picture)
        assert 300 < width < 4000
        assert 150 < height < 4000


def test_every_axis_is_named(drawn: list[Any]) -> None:
    figures(TRIALS, {"lr": 0.7, "optim": 0.3, "width": 0.0}, "val/loss", False, {"lr"})
    history, intermediate, slices, parallel, importances = drawn
    assert [axes_of(f)[0].get_xlabel() for f in (history, intermediate)] == ["trial", "epoch"]
    assert [axes.get_xlabel() for axes in axes_of(slices)] == ["lr", "optim", "width", "momentum"]
    assert {axes.get_ylabel() for f in (history, intermediate, slices) for axes in f.axes} == {"val/loss"}
    ticks = [text.get_text() for text in axes_of(parallel)[0].get_xticklabels()]
    assert ticks == ["lr", "optim", "width", "momentum", "val/loss"]
    assert (
        axes_of(importances)[0].get_xlabel() == "importance for the best 10 % of trials\nby val/loss, in % (PED-ANOVA)"
    )
    assert {"70 %", "30 %", "0 %"} <= {text.get_text() for text in axes_of(importances)[0].texts}


@pytest.mark.parametrize(("maximize", "expected"), [(False, [0.5, 0.3, 0.3, 0.3]), (True, [0.5, 0.5, 0.5, 0.5])])
def test_the_best_so_far_goes_on_to_the_last_trial(drawn: list[Any], maximize: bool, expected: list[float]) -> None:
    figures([*TRIALS, trial(9, 0.8, "pruned", lr=0.1)], {}, "val/loss", maximize, set())
    (line,) = axes_of(drawn[0])[0].lines
    assert list(map(float, list(line.get_ydata()))) == expected
    assert list(map(float, list(line.get_xdata()))) == [0, 2, 3, 9]
    _, labels = axes_of(drawn[0])[0].get_legend_handles_labels()
    assert labels == ["pruned (last value)", "complete", "best so far"]


def test_one_bad_loss_does_not_hide_the_good_ones_and_an_accuracy_is_never_logarithmic(drawn: list[Any]) -> None:
    many = [*TRIALS, trial(4, 80.0, lr=1e-1)]
    figures(many, {}, "val/loss", False, set())
    figures(many, {}, "val/accuracy", True, set())
    figures(TRIALS, {}, "val/loss", False, set())
    figures([*many, trial(5, -1.0, lr=1e-1)], {}, "val/loss", False, set())
    assert [axes_of(figure)[0].get_yscale() for figure in drawn[::4]] == ["log", "linear", "linear", "linear"]


def test_choices_stand_side_by_side_and_ranges_where_they_are(drawn: list[Any]) -> None:
    figures(TRIALS, {}, "val/loss", False, {"lr"})
    lr, optim, width, momentum = axes_of(drawn[2])
    assert [axes.get_xscale() for axes in (lr, optim, width, momentum)] == ["log", "linear", "linear", "linear"]
    assert [text.get_text() for text in optim.get_xticklabels()] == ["adamw", "sgd"]
    assert [text.get_text() for text in width.get_xticklabels()] == ["16", "32", "64"]
    low, high = momentum.get_xlim()
    assert low < 0.9 < high


def test_the_values_of_a_choice_and_the_ends_of_a_range_are_written_at_the_axes(drawn: list[Any]) -> None:
    figures(TRIALS, {}, "val/loss", False, {"lr"})
    written = [text.get_text() for text in axes_of(drawn[3])[0].texts]
    assert written == ["0.0001", "0.01", "adamw", "sgd", "16", "32", "64", "0.9", "0.3", "0.5"]


@pytest.mark.parametrize("maximize", [False, True])
def test_no_line_goes_through_the_axis_of_a_branch_that_a_trial_never_had(drawn: list[Any], maximize: bool) -> None:
    branches = [
        trial(0, 0.5, optim="sgd", momentum=0.9, lr=1e-3),
        trial(1, 0.3, optim="adamw", beta=0.5, lr=1e-4),
        trial(2, 0.4, optim="adamw", beta=0.7, lr=1e-2),
    ]
    figures(branches, {}, "val/loss", maximize, set())
    axes = axes_of(drawn[3])[0]
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert names == ["optim", "momentum", "lr", "beta", "val/loss"]
    best = next(line for line in axes.lines if line.get_linewidth() > 2)
    has = [math.isfinite(height) for height in best.get_ydata()]
    assert has == ([True, True, True, False, True] if maximize else [True, False, True, True, True])
    assert best.get_marker() == "o"  # the metric stands alone where the last axis is not its own
    assert list(map(float, best.get_xdata())) == [0, 1, 2, 3, 4]


def test_parameters_that_have_no_room_are_counted(drawn: list[Any]) -> None:
    figures([trial(0, 0.5) | {"params": {f"p{n}": n for n in range(14)}}], {}, "val/loss", False, set())
    assert "12 of 14 parameters" in drawn[2].get_suptitle()
    assert "12 of 14 parameters" in axes_of(drawn[3])[0].get_title(loc="left")


@pytest.mark.parametrize("value", [None, math.inf, math.nan])
def test_trials_without_a_value_are_left_out_of_a_picture_that_is_whole(value: float | None) -> None:
    odd = trial(4, 0.2, "pruned", lr=1e-1) | {"value": value, "epochs": {1: math.inf, 2: math.nan}}
    pictures = figures([*TRIALS, odd], {}, "val/loss", False, {"lr"})
    assert pictures.keys() == ALL - {"importances"}
    for picture in pictures.values():
        size(picture)


def test_before_a_trial_is_complete_there_is_nothing_to_show() -> None:
    assert figures([], {}, "val/loss", False, set()) == {}
    assert figures([trial(0, 0.5, "pruned", lr=0.1)], {"lr": 1.0}, "val/loss", False, set()) == {}


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"x": None},
        {"x": True},
        {"a.very.long.path." * 9 + "x": "a name of a class that is far too long for any axis of any picture " * 2},
        {"x": r"$x_{$ \alpha <b>"},
        {f"parameter.number.{n}": 0.5 for n in range(40)},
    ],
)
def test_one_trial_of_anything_is_a_picture(params: dict[str, Any]) -> None:
    pictures = figures([trial(0, 0.5, **params)], {}, "val/loss", False, set())
    assert pictures.keys() == (
        {"history", "intermediate", "parallel", "slices"} if params else {"history", "intermediate"}
    )
    for picture in pictures.values():
        width, height = size(picture)
        assert max(width, height) < 4000


def test_values_of_several_kinds_have_an_order() -> None:
    mixed = [trial(n, 0.5 + n, x=value) for n, value in enumerate([None, "a", 2, 0.5, True, "a"])]
    assert len(figures(mixed, {}, "val/loss", False, set())) == 4


def test_no_display_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setenv("MPLBACKEND", "TkAgg")
    size(figures(TRIALS, {}, "val/loss", False, set())["history"])


def test_a_busy_machine_is_no_warning_about_a_legend(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = Figure()
    figure.add_subplot().plot([1, 2], label="a")
    figure.axes[0].legend()
    monkeypatch.setattr("matplotlib.legend.time.perf_counter", iter(range(0, 10_000, 10)).__next__)  # 10 s a look
    assert as_png(figure).startswith(b"\x89PNG")
