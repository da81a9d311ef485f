"""A metric that runs are compared by."""

from __future__ import annotations

from dataclasses import dataclass

from dlexp.report.number_format import is_share


@dataclass(frozen=True)
class Measure:
    """A metric, its direction, and the unit of its differences: points (hundredths) for shares."""

    name: str
    maximize: bool

    @property
    def unit(self) -> str:
        """The unit of a difference multiplied by `scale`: points for shares, "" for other metrics."""
        return "points" if is_share(self.name) else ""

    @property
    def scale(self) -> float:
        """The factor that converts a value of the metric to `unit`."""
        return 100.0 if self.unit else 1.0
