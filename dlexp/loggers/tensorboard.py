"""Logging to TensorBoard event files in tb/ of the run directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlexp.loggers.relay import Card, Row


class TensorBoard:
    """TensorBoard event files, a new one each time the run is resumed; readers purge rows after the checkpoint."""

    def __init__(self, card: Card) -> None:
        self._card = card
        self._writer: Any = None

    def open(self, remember: Callable[[str], None]) -> None:
        """Create an event file."""
        from torch.utils.tensorboard import SummaryWriter

        purge = self._card.first_step + 1 if self._card.first_step else None
        self._writer = SummaryWriter(str(Path(self._card.folder) / "tb"), purge_step=purge)

    def write(self, rows: Sequence[Row]) -> None:
        """Write scalars."""
        for step, values in rows:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self, end: str, results: Mapping[str, float]) -> None:
        """Close the file; the results are already in the rows."""
        self._writer.close()
