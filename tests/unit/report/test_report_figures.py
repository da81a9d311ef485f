from __future__ import annotations

import struct
import zlib

import pytest

from dlexp.report.figures.curves import curves_png
from dlexp.report.figures.evaluation import confusion_png, prediction_png

pytestmark = pytest.mark.pictures

COLUMNS = ["epoch", "step", "lr", "train/loss", "train/accuracy", "val/loss", "val/accuracy", "val/f1_macro", "seconds"]


def size(png: bytes) -> tuple[int, int]:
    """(width, height) of a PNG whose every chunk is whole."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    names, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        body = png[at + 4 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(body)
        names.append(body[:4])
        at += 12 + length
    assert (names[0], names[-1]) == (b"IHDR", b"IEND")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def rows(count: int, value: str | None = None) -> list[dict[str, str]]:
    """Epochs whose metrics fall, or are all `value`."""
    found = [dict.fromkeys(COLUMNS, value if value is not None else str(1 / epoch)) for epoch in range(1, count + 1)]
    return [row | {"epoch": str(epoch), "step": str(9 * epoch)} for epoch, row in enumerate(found, start=1)]


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_curves_have_a_panel_for_each_metric_and_the_rate(count: int) -> None:
    width, height = size(curves_png(COLUMNS, rows(count), min(count, 1), "val/loss"))
    assert (width, height) == (924, 682)  # four panels: two beside each other, two rows


@pytest.mark.parametrize("value", ["nan", "inf", "", "0.5"])
def test_curves_of_values_that_cannot_be_drawn_or_do_not_move_are_a_picture(value: str) -> None:
    size(curves_png(COLUMNS, rows(4, value), 0, "val/loss"))


def test_the_best_epoch_is_marked() -> None:
    assert curves_png(COLUMNS, rows(9), 3, "val/loss") != curves_png(COLUMNS, rows(9), 7, "val/loss")


@pytest.mark.parametrize("count", [1, 2, 3, 25, 26, 30, 100])
def test_a_confusion_matrix_grows_with_its_classes_up_to_a_page(count: int) -> None:
    counts = [[5 if row == column else (row + column) % 3 for column in range(count)] for row in range(count)]
    width, height = size(confusion_png(counts, [f"class number {n}" for n in range(count)], "test"))
    assert width > height
    assert 390 <= height <= 1541


def test_classes_without_samples_are_a_picture() -> None:
    size(confusion_png([[0, 0], [0, 0]], ["0", "1"], "val"))


@pytest.mark.parametrize(
    ("true", "predicted"),
    [
        ([1.0, 2.0, 3.0], [1.1, 1.9, 3.2]),
        ([1.0], [1.0]),
        ([2.0, 2.0], [2.0, 2.0]),
        ([1.0, 2.0], [float("nan"), 2.0]),
        ([1e9, 2e9], [1e-9, 1.5e9]),
    ],
)
def test_predictions_are_a_picture(true: list[float], predicted: list[float]) -> None:
    width, height = size(prediction_png(true, predicted, "height in cm", "test"))
    assert (width, height) == (528, 506)


@pytest.mark.parametrize("name", ["$x_{$", "a$b$c", r"$\nothing$", "50 % & more", "_^{}", "µ ≤ 3"])
def test_names_are_shown_as_they_are_and_never_read_as_formulas(name: str) -> None:
    size(prediction_png([1.0, 2.0], [1.0, 2.5], name, name))
    size(confusion_png([[1, 2], [3, 4]], [name, "b"], name))
    renamed = [f"val/{name}" if column == "val/f1_macro" else column for column in COLUMNS]
    values = [{new: row[old] for new, old in zip(renamed, COLUMNS, strict=True)} for row in rows(3)]
    size(curves_png(renamed, values, 1, f"val/{name}"))
