"""The picture of a check: the numbers that are drawn are those that were counted."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dlexp.report.figures.data_check import check_png
from dlexp.report.figures.panel import Panel

pytestmark = pytest.mark.pictures


def test_a_panel_counts_its_cells() -> None:
    cells = np.random.default_rng(0).normal(3, 2, 500)
    numbers = Panel.of("a", cells)
    assert numbers.counts.tolist() == np.histogram(cells, 30)[0].tolist()
    assert len(numbers.edges) == 31
    words = Panel.of("b", ["x"] * 5 + ["y"] * 7 + [f"rare {number}" for number in range(12)])
    assert words.names[:2] == ("y", "x")
    assert words.names[-1] == "2 others"
    assert words.counts.tolist() == [7, 5, *[1] * 10, 2]


def test_of_many_classes_the_most_frequent_and_the_rarest_are_drawn() -> None:
    counts = np.stack([np.arange(100) + 5, np.ones(100), np.ones(100)]).astype(np.int64)
    panel = Panel.classes([f"class {number}" for number in range(100)], ("train", "val", "test"), counts)
    assert panel.names[0] == "class 99"
    assert panel.names[-1] == "class 0"
    assert panel.counts[0].tolist() == [*range(104, 92, -1), *range(16, 4, -1)]
    assert "12 rarest of 100" in panel.title


@pytest.mark.parametrize("columns", [0, 1, 3, 30])
def test_any_number_of_panels_is_drawn(columns: int) -> None:
    panels = [Panel.of(f"column {number}", np.arange(9.0)) for number in range(columns)]
    classes = Panel.classes(["$a_b$", "\u732b"], ("train", "val", "test"), np.array([[3, 4], [1, 0], [0, 1]]))
    with Image.open(BytesIO(check_png("data=x", [classes, *panels, Panel.of("words", ["a", "b"])]))) as picture:
        assert picture.width >= 600
        assert 200 < picture.height < 2000
