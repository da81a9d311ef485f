"""Values and latents of every sample, since an interval, a histogram and the worst samples need all of them.

Symbols: B batch, N samples, Z latent numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dlexp.metrics.bootstrap import Floats
from dlexp.metrics.row_store import RowStore
from dlexp.metrics.states import MetricState
from dlexp.types import Prediction


class SampleValues(MetricState):
    """Values (B,) of `Prediction.extra`, latents (B, Z), and the targets where there are classes or values.

    It keeps 8 bytes a sample for each value and its number, and 4 for each latent.

    Args:
        names: Of the values.
        latents: Name of the latents, "" for none.
    """

    def __init__(self, names: Sequence[str], latents: str = "") -> None:
        self.names = tuple(names)
        self._latents = latents
        self._values = RowStore[Any]()
        self._points, self._targets, self._indices = RowStore[Any](), RowStore[Any](), RowStore[np.int64]()

    def update(self, prediction: Prediction) -> None:
        """Add a batch. Raises KeyError for values that the prediction does not have."""
        rows = [prediction.extra[name].detach().double().cpu().numpy() for name in self.names]
        self._values.append(np.stack(rows, axis=1))
        self._indices.append(prediction.indices.cpu().numpy())
        if self._latents:
            self._points.append(prediction.extra[self._latents].detach().float().flatten(1).cpu().numpy())
        if prediction.targets is not None and prediction.targets.ndim == 1:
            self._targets.append(prediction.targets.cpu().numpy())

    def merge(self, other: Self) -> None:
        """Add the samples of another state, after those of this one."""
        for own, more in (
            (self._values, other._values),
            (self._indices, other._indices),
            (self._points, other._points),
            (self._targets, other._targets),
        ):
            own.extend(more)

    def compute(self) -> dict[str, float]:
        """Nothing: the means are those of another state."""
        return {}

    def values(self) -> dict[str, Floats]:
        """Name -> (N,). Raises ValueError when there was no sample."""
        if not len(self._values):
            raise ValueError("no sample was evaluated")
        return dict(zip(self.names, np.ascontiguousarray(self._values.joined().T), strict=True))

    def indices(self) -> NDArray[np.int64]:
        """(N,) the number of each sample in its source."""
        return self._indices.joined()

    def latents(self) -> NDArray[np.float32] | None:
        """(N, Z), None where there are none."""
        return self._points.joined() if len(self._points) else None

    def classes(self) -> NDArray[np.int64] | None:
        """(N,) class numbers, None for targets of another kind."""
        if len(self._targets) != len(self._indices) or not len(self._targets):
            return None
        found = self._targets.joined()
        return found if found.dtype == np.int64 else None
