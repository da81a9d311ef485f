"""Training in memory: nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Nowhere:
    """Checkpoints that are not kept."""

    def save(self, state: Mapping[str, Any], best: Mapping[str, Any] | None = None) -> None:
        """Keep nothing."""
