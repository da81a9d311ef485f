"""Figures of results, whose failure does not end a run.

A run of hours is not lost to a missing font, a broken matplotlib or a full disk. If the figure is the requested result,
use `draw`, which raises an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from dlexp.artifacts.files.writing import write_bytes
from dlexp.errors import DlexpError

_T = TypeVar("_T")
_MAX_REASON = 300  # characters


def draw_picture(name: str, picture: Callable[[], _T]) -> _T:
    """The result of `picture`, with the default settings of matplotlib. Raises DlexpError if it fails."""
    try:
        from dlexp.report.figures.matplotlib_settings import (
            default_settings,  # matplotlib loads when something is drawn
        )

        with default_settings():
            return picture()
    except DlexpError:
        raise
    except Exception as error:
        first = next((line for line in str(error).splitlines() if line.strip()), "")
        reason = f"{type(error).__name__}: {first[:_MAX_REASON]}" if first else type(error).__name__
        raise DlexpError(f"{name} could not be drawn: {reason}", code="failed") from error


class Pictures:
    """Draws and writes the figures of one result.

    Attributes:
        undrawn: A message for each figure that could not be drawn or written.
    """

    def __init__(self) -> None:
        self.undrawn: list[str] = []

    def draw(self, name: str, picture: Callable[[], _T]) -> _T | None:
        """The result of `picture`, None if it fails."""
        try:
            return draw_picture(name, picture)
        except DlexpError as error:
            self.undrawn.append(str(error))
            return None

    def write(self, path: Path, picture: Callable[[], bytes]) -> bool:
        """Draw to a PNG file; returns whether it succeeded. On failure, an outdated file is deleted."""
        try:
            write_bytes(path, draw_picture(path.name, picture))
        except DlexpError as error:
            self.undrawn.append(str(error))
            _remove(path)
            return False
        return True

    def facts(self) -> dict[str, list[str]]:
        """`undrawn` as an entry of a JSON file; {} if all figures were drawn."""
        return {"undrawn": list(self.undrawn)} if self.undrawn else {}


def curves(
    columns: Sequence[str], rows: Sequence[Mapping[str, str]], best_epoch: int, monitor: str, most_columns: int = 3
) -> bytes:
    """plots/curves.png of a run, from its metrics.csv, with at most `most_columns` panels side by side."""
    from dlexp.report.figures.curves import curves_png  # here, so that matplotlib loads when training is over

    return curves_png(columns, rows, best_epoch, monitor, most_columns)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # a deleted directory has no file either
        return
