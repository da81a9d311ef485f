"""Names in any script, of any length, at the axes of pictures."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from test_report_figures import size

from dlexp.report.figures import fonts
from dlexp.report.figures.evaluation import confusion_png, prediction_png
from dlexp.report.figures.labels import short_labels

pytestmark = pytest.mark.pictures


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has matplotlib's own fonts alone."""
    monkeypatch.setattr(fonts, "_installed", lambda: frozenset({"DejaVu Sans"}))


def made(title: str, labels: list[str]) -> Figure:
    figure = Figure()
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.set_xticks(range(len(labels)), labels)
    fonts.make_readable(figure, [text for text in figure.findobj(Text) if isinstance(text, Text)])
    return figure


@pytest.mark.usefixtures("nothing_installed")
def test_a_letter_that_no_font_has_is_written_by_its_number_and_said() -> None:
    figure = made("Я猫", ["b", "犬x"])
    assert figure.axes[0].get_title() == "Я<732B>"
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["b", "<72AC>x"]
    assert "Unicode number" in figure.get_supxlabel()


def test_letters_that_every_machine_has_stay_and_nothing_is_said() -> None:
    figure = made("Ünïcödé собака γάτα µ ≤ 3", ["a\nb", "c"])
    assert figure.axes[0].get_title() == "Ünïcödé собака γάτα µ ≤ 3"
    assert figure.axes[0].get_xticklabels()[0].get_text() == "a\nb"
    assert figure.get_supxlabel() == ""


def test_a_font_that_is_installed_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    letters = {"DejaVu Sans": fonts._letters("DejaVu Sans"), "Unifont": frozenset(map(ord, "猫"))}
    monkeypatch.setattr(fonts, "_installed", lambda: frozenset(letters))
    monkeypatch.setattr(fonts, "_letters", lambda family: letters[family])
    figure = made("猫", ["a"])
    assert figure.axes[0].get_title() == "猫"
    assert figure.axes[0].title.get_fontfamily() == ["DejaVu Sans", "Unifont"]
    assert figure.get_supxlabel() == ""


@pytest.mark.parametrize("name", ["猫と犬", "a name that is much longer than an axis has room for " * 3, "two\nlines"])
def test_such_names_make_pictures_without_a_warning(name: str) -> None:
    size(confusion_png([[3, 1, 0], [0, 2, 1], [1, 1, 1]], [name, f"{name}!", "c"], "test"))
    size(prediction_png([1.0, 2.0], [1.1, 2.2], name, "test"))


def test_names_are_short_on_one_line_and_told_apart() -> None:
    long = "x" * 40
    assert short_labels(["cat", "a\nb", long + "1", long + "2"]) == [
        "cat", "a b", f"{'x' * 15}…{'x' * 7}1", f"{'x' * 15}…{'x' * 7}2",
    ]  # fmt: skip
    assert short_labels([f"{long}1{long}", f"{long}2{long}"]) == [f"{'x' * 15}…{'x' * 8} ({n})" for n in range(2)]
    assert short_labels([]) == []
