"""Where the parts of line charts are, as read from the pixels."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from dlexp.report.figures.charts import pixel_text
from dlexp.report.figures.charts.axis_scale import linear_scale
from dlexp.report.figures.charts.line_charts import ChartCurve, LegendEntry, LineChart, line_charts_png
from dlexp.report.figures.charts.pixel_text import DPI, Across, PixelText, Up

pytestmark = pytest.mark.pictures

RED = LegendEntry("a", "#ff0000")


def chart(values: list[float], legend: tuple[LegendEntry, ...] = ()) -> LineChart:
    across = [float(n) for n in range(len(values))]
    curves = [ChartCurve(values, RED)]
    return LineChart("title", "epoch", across, curves, linear_scale(across, 8), linear_scale(values, 7), legend=legend)


def pixels(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def reds(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray((image[..., 0] > 200) & (image[..., 1] < 90) & (image[..., 2] < 90))


def test_a_curve_rises_where_its_values_do() -> None:
    rows, columns = np.nonzero(reds(pixels(line_charts_png([chart([0.0, 1.0, 2.0])], 1))))
    left, right = rows[columns == columns.min()].mean(), rows[columns == columns.max()].mean()
    assert left - right > 200  # rows are counted from the top


def test_a_value_that_is_not_finite_is_a_gap() -> None:
    whole = reds(pixels(line_charts_png([chart([0.0, 1.0, 2.0, 3.0])], 1)))
    broken = reds(pixels(line_charts_png([chart([0.0, 1.0, math.nan, 3.0])], 1)))
    assert 0 < broken.sum() < 0.5 * whole.sum()


def test_panels_of_a_column_have_their_axes_below_each_other() -> None:
    png = line_charts_png([chart([0.0, 1.0]), chart([0.0, 1.0]), chart([1e7, 1.1e7])], 2)
    image = pixels(png)
    assert image.shape == (682, 924, 3)
    black = (image.max(axis=2) < 60)[:, :462]
    sides = [int(np.argmax(part.sum(axis=0) > 200)) for part in (black[:341], black[341:])]
    assert sides[0] == sides[1] > 0


def test_a_legend_leaves_the_curve_free() -> None:
    entry = (LegendEntry("what is explained here", "#0000ff"),)
    for values in ([0.0, 0.0, 0.0, 3.0], [3.0, 3.0, 3.0, 0.0], [0.0, 3.0, 3.0, 3.0]):
        curve = reds(pixels(line_charts_png([chart(values)], 1)))
        image = pixels(line_charts_png([chart(values, entry)], 1))
        assert ((image[..., 2] > 200) & (image[..., 0] < 90)).any()  # the line of its entry
        assert (reds(image) == curve).all()


def test_a_note_below_the_panels_makes_the_figure_higher(monkeypatch: pytest.MonkeyPatch) -> None:
    from dlexp.report.figures import fonts

    monkeypatch.setattr(fonts, "_installed", lambda: frozenset({"DejaVu Sans"}))
    named = LineChart("犬", "epoch", [0.0], [ChartCurve([0.0], RED)], linear_scale([0.0], 8), linear_scale([0.0], 7))
    assert pixels(line_charts_png([named], 1)).shape[0] > pixels(line_charts_png([chart([0.0])], 1)).shape[0]


def opacity(text: Text) -> NDArray[np.int64]:
    """The alpha channel of a figure that has the text alone."""
    text.set_position((30, 20))
    text.set_figure(Figure(dpi=DPI))
    renderer = RendererAgg(60, 40, DPI)  # type: ignore[no-untyped-call]
    text.draw(renderer)
    return np.asarray(renderer.buffer_rgba())[..., 3].astype(np.int64)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(("across", "up"), [("left", "baseline"), ("right", "center_baseline"), ("center", "top")])
def test_a_text_is_drawn_once_and_looks_as_matplotlib_draws_it(across: Across, up: Up) -> None:
    content = f"0.25 {across} %"[:7]
    usual = Text(
        0, 0, content, size=10, horizontalalignment=across, verticalalignment=up, parse_math=False, transform=None
    )
    before = pixel_text._drawn.cache_info()
    first, again = (opacity(PixelText(content, 10, across, up)) for _ in range(2))
    after = pixel_text._drawn.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses + 1)
    assert first.max() > 200
    assert (first == again).all()
    assert abs(first - opacity(usual)).max() <= 1


def test_texts_of_other_sizes_and_fonts_are_other_texts() -> None:
    small, large, other = (PixelText("mill", points, "left", "baseline") for points in (8, 12, 8))
    other.set_fontfamily(["DejaVu Serif"])
    assert small.width() < large.width()
    assert small.width() != other.width()
