"""Several optimizers combined into one: their groups in one list, their states in one dict."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer


class PartedOptimizer(Optimizer, ABC):
    """An optimizer made of others, which share no parameter; a subclass says how it steps them.

    The groups are those of the parts, so that setting a rate or a momentum here sets it there. `defaults` are those of
    the first part, which decides what a schedule can change.

    Args:
        parts: The optimizers.
    """

    def __init__(self, parts: list[Optimizer]) -> None:
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.defaults = dict(
            parts[0].defaults
        )  # afterwards: torch would set the defaults of the first part in the groups of the others

    @abstractmethod
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update."""

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the parts, in order."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the output of `state_dict`. Raises KeyError or ValueError for the state of another optimizer."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._collect_groups()

    def __getstate__(self) -> dict[str, Any]:
        return {"parts": self.parts, "defaults": self.defaults}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._collect_groups()

    def _collect_groups(self) -> None:
        """Collect the groups of the parts, whose dicts are replaced when a state is loaded."""
        self.param_groups = [group for part in self.parts for group in part.param_groups]


class CombinedOptimizer(PartedOptimizer):
    """Steps each of its parts in turn."""

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update by each part. Raises TypeError for a closure: no part needs one."""
        if closure is not None:
            raise TypeError("a combined optimizer takes no closure")
        for part in self.parts:
            part.step()
        return None
