"""What a kind of planted fault is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Words = Mapping[str, str]  # key -> value of the words key=value
At = Literal["best", "last"]
SMALLER_IS_BETTER = ("loss", "mae", "rmse")


@dataclass(frozen=True)
class Case:
    """A kind of fault in one network.

    Attributes:
        network: The name in tables and in `--networks`.
        healthy: The words of the healthy twin.
        sick: Words that are added to it, or replace its words.
    """

    network: str
    healthy: Words
    sick: Words

    @property
    def words(self) -> Words:
        """All words of the run with the fault."""
        return {**self.healthy, **self.sick}


@dataclass(frozen=True)
class Kind:
    """A kind of planted fault. The third network of each is kept back: no threshold is set on it.

    Attributes:
        name: The name in tables and in `--kinds`.
        codes: The codes that are right: one, or two where they are honestly the same fault.
        planted: What is planted, as a sentence for people.
        cases: One for each network.
        metric: What the fault makes worse, a column `val/...`; "" for faults that no validation metric shows.
        at: The epoch that counts: the best one, whose weights are used, or the last.
    """

    name: str
    codes: tuple[str, ...]
    planted: str
    cases: tuple[Case, Case, Case]
    metric: str = "accuracy"
    at: At = "best"

    def better(self, value: float, other: float) -> bool:
        """Whether a value of the metric is better than another one."""
        return value < other if self.metric in SMALLER_IS_BETTER else value > other
