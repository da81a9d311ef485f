"""Values of a batch by name, of which some are computed when somebody reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor


class LazyValues(Mapping[str, Tensor]):
    """Known values, and functions for costly ones, each called once at most, without gradients.

    Args:
        known: Name -> values.
        costly: Name -> a function that computes them.
    """

    def __init__(self, known: Mapping[str, Tensor], costly: Mapping[str, Callable[[], Tensor]]) -> None:
        self._known, self._costly = dict(known), dict(costly)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._known:
            with torch.no_grad():
                self._known[name] = self._costly[name]()
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._known, **self._costly})

    def __len__(self) -> int:
        return len({**self._known, **self._costly})
