"""A picture that a notebook shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Picture:
    """A PNG file of a run.

    Attributes:
        path: The file.
        png: Its content.
    """

    path: Path
    png: bytes = field(repr=False)

    def _repr_png_(self) -> bytes:
        return self.png
