"""Pictures of an evaluation are pictures, whatever there is to draw, and show what they were given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from test_report_figures import size

from dlexp.metrics.calibration import bins
from dlexp.metrics.ranking import RankingCurve, curve
from dlexp.report.figures import evaluation as draw
from dlexp.report.figures.curves import as_png

pytestmark = pytest.mark.pictures


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Figure]:
    """The last figure, before it becomes a picture."""
    kept: list[Figure] = []

    def keep(figure: Figure) -> bytes:
        kept.append(figure)
        return as_png(figure)

    monkeypatch.setattr(draw, "as_png", keep)
    return lambda: kept[-1]


def curves(count: int, samples: int = 30) -> dict[str, RankingCurve]:
    rng = np.random.default_rng(0)
    positive = np.arange(samples) % 3 == 0
    return {
        f"class number {n} with a long name": curve(rng.normal(size=samples) + positive, positive) for n in range(count)
    }


@pytest.mark.parametrize("make", [draw.roc_png, draw.pr_png])
@pytest.mark.parametrize(("count", "classes"), [(2, 2), (10, 10), (10, 100)])
def test_curves_name_each_class_with_its_area(drawn: Callable[[], Figure], make: Any, count: int, classes: int) -> None:
    found = curves(count)
    areas = {name: 0.9 - 0.01 * n for n, name in enumerate(found)}
    assert size(make(found, areas, "test", classes)) == (814, 616)
    axes = drawn().axes[0]
    legend = axes.get_legend()
    assert legend is not None and legend.get_title().get_text() in ("area under the ROC curve", "average precision")
    texts = [text.get_text() for text in legend.get_texts()]
    assert sum("0.9" in text or "0.8" in text for text in texts) == count
    looks = {(line.get_color(), line.get_linestyle()) for line in axes.get_lines()}
    assert len(looks) == len(axes.get_lines())  # ten classes, and each can be told from the others
    assert ("10 of 100 classes" in axes.get_title()) == (classes > 10)


def test_a_roc_curve_has_the_points_it_was_given(drawn: Callable[[], Figure]) -> None:
    found = {"a": curve(np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False]))}
    draw.roc_png(found, {"a": 0.75}, "test", 2)
    line = drawn().axes[0].get_lines()[1]
    assert np.column_stack(line.get_data()).tolist() == [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]


@pytest.mark.parametrize("count", [1, 7, 500])
def test_reliability_of_few_and_many(drawn: Callable[[], Figure], count: int) -> None:
    rng = np.random.default_rng(count)
    p = rng.dirichlet(np.ones(4), size=count)
    found = bins(p.max(axis=1), p.argmax(axis=1) == rng.integers(4, size=count))
    size(draw.reliability_png(found, 0.123, "val"))
    above, below = drawn().axes
    assert "12.30 %" in above.get_title()
    assert sum(bar.get_height() for bar in below.patches if isinstance(bar, Rectangle)) == count


@pytest.mark.parametrize("count", [2, 10, 40, 60, 61, 100])
def test_shares_of_a_confusion_matrix_are_readable_up_to_a_hundred_classes(
    drawn: Callable[[], Figure], count: int
) -> None:
    counts = np.eye(count, dtype=int) * 8
    counts[0, 1], counts[1, 1] = 2, 0  # the second class has no sample
    names = [f"quite a long name {n}" for n in range(count)]
    png = draw.confusion_png(counts.tolist(), names, "test", shares=True)
    assert max(size(png)) < 2800
    axes = drawn().axes[0]
    texts = {text.get_text() for text in axes.texts}
    assert texts == ({"80", "20", "100"} if 2 < count <= 40 else {"80", "20"} if count == 2 else set())
    draw.confusion_png(counts.tolist(), names, "test")
    written = [text.get_text() for text in drawn().axes[0].texts]
    assert written == (["8", "2", *["8"] * (count - 2)] if count <= 40 else [])
    assert drawn().axes[0].get_title() == f"test: {8 * (count - 1)} of {8 * count + 2 - 8} correct"
    assert bool(axes.get_xticklabels()[0].get_text().startswith("quite")) == (count <= 60)


@pytest.mark.parametrize(
    ("true", "predicted"),
    [([1.0, 2.0, 3.0], [1.5, 2.0, 2.0]), ([1.0], [1.0]), ([1.0, 2.0], [float("nan"), 2.0]), ([1.0], [float("inf")])],
)
def test_residuals_of_anything_are_a_picture(true: list[float], predicted: list[float]) -> None:
    assert size(draw.residuals_png(true, predicted, "price in $ a_{b", "test")) == (836, 462)


def test_residuals_are_predicted_minus_true(drawn: Callable[[], Figure]) -> None:
    draw.residuals_png([1.0, 2.0], [1.5, 1.0], "y", "test")
    points = drawn().axes[0].collections[0].get_offsets()
    assert np.asarray(points).tolist() == [[1.5, 0.5], [1.0, -1.0]]


@pytest.mark.parametrize(("count", "channels"), [(1, 1), (4, 3), (25, 3)])
def test_mistakes_stand_under_their_classes(drawn: Callable[[], Figure], count: int, channels: int) -> None:
    images = np.linspace(-0.1, 1.2, count * channels * 20).reshape(count, channels, 4, 5)
    captions = [(f"a class with a long name {n}", "$x_{$", "p 0.1 → 0.9") for n in range(count)]
    size(draw.mistakes_png(images, captions, "test: the worst"))
    assert len(drawn().axes) == count
    assert drawn().axes[0].get_title() == "a class…me 0 → $x_{$\np 0.1 → 0.9"
