"""Rows of predictions: rounded where a person reads them, exact everywhere else."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from dlexp.artifacts.files.row_writer import rows_to

THIRD = 1 / 3


class Screen(io.TextIOWrapper):
    """Standard output that says whether it is a terminal."""

    is_terminal = True

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.mark.parametrize(
    ("is_terminal", "kind", "shown"),
    [(True, "csv", "0.333333"), (False, "csv", str(THIRD)), (True, "json", str(THIRD))],
)
def test_a_terminal_shows_six_digits(monkeypatch: pytest.MonkeyPatch, is_terminal: bool, kind: str, shown: str) -> None:
    screen = Screen(io.BytesIO(), encoding="utf-8")
    screen.is_terminal = is_terminal
    monkeypatch.setattr(sys, "stdout", screen)
    with rows_to(None, kind) as writer:
        writer.write({"row": [7], "predicted": [THIRD], "error": [None]})
    text = screen.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert shown in text.replace(f"{shown}3", "longer")


def test_a_file_has_every_digit(tmp_path: Path) -> None:
    with rows_to(tmp_path / "out.csv", "csv") as writer:
        writer.write({"predicted": [THIRD]})
    assert (tmp_path / "out.csv").read_text() == f"predicted\n{THIRD}\n"
