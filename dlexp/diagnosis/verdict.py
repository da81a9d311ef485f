"""A verdict of the doctor: what is wrong, the numbers that show it, and the words that mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from dlexp.findings import Severity

Fault = Literal[
    "not_finite",
    "rate_too_high",
    "rate_too_low",
    "vanishing_gradients",
    "exploding_gradients",
    "dead_units",
    "saturated_units",
    "bad_initial_loss",
    "inputs_not_normalized",
    "targets_not_standardized",
    "loss_output_mismatch",
    "double_softmax",
    "frozen_parameters",
    "unused_parameters",
    "batch_norm_small_batch",
    "batch_too_large",
    "overfitting",
    "underfitting",
    "stopped_too_soon",
    "plateau",
    "class_collapse",
    "class_imbalance",
    "label_noise",
    "labels_shuffled",
    "duplicates_across_splits",
    "leaking_feature",
    "split_shift",
    "augmentation_too_strong",
    "regularization_too_strong",
    "low_precision",
    "unshuffled_data",
    "fading_memory",
]


@dataclass(frozen=True)
class Evidence:
    """A number that shows a fault, and what it was compared with.

    Attributes:
        measure: What was measured, with its unit, such as "dead units of net.1, share".
        value: The number.
        limit: The number that a healthy run does not cross, None for a number that only tells more.
        side: Where the fault lies of the limit: above or below.
        is_trial: Whether it was found by training with one thing changed.
    """

    measure: str
    value: float
    limit: float | None = None
    side: Literal["above", "below"] = "above"
    is_trial: bool = False

    def text(self) -> str:
        """One line for people."""
        if self.limit is None:
            return f"{self.measure}: {self.value:.4g}"
        return f"{self.measure}: {self.value:.4g}, {self.side} {self.limit:.4g}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, and the line for people."""
        return {**vars(self), "text": self.text()}


@dataclass(frozen=True)
class Verdict:
    """One finding about a run.

    Attributes:
        code: The fault.
        severity: error: the run cannot be good; warning: it is worse than it needs to be; note: good to know.
        what: The message.
        evidence: The numbers, at least one; of a warning or an error, of at least two kinds.
        cause: Why it happens.
        remedy: Overrides that mend it; () if none does.
        action: What else to do, for what no override mends.
        confidence: How sure it is, in [0, 1].
        layer: The layer or parameter, "" if it is of no single one.
        epoch: The epoch, counted from 1, None if it is of no single one.
        source: Where the rule comes from.
    """

    code: Fault
    severity: Severity
    what: str
    evidence: tuple[Evidence, ...]
    cause: str
    remedy: tuple[str, ...] = ()
    action: str = ""
    confidence: float = 0.5
    layer: str = ""
    epoch: int | None = None
    source: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **vars(self),
            "evidence": [one.as_dict() for one in self.evidence],
            "remedy": list(self.remedy),
        }
