"""Every rule, by family."""

from __future__ import annotations

from collections.abc import Sequence

from dlexp.diagnosis.judge import Rule
from dlexp.diagnosis.rules import classes, data, fit, labels, optimization, regularization, splits

RULES: Sequence[Rule] = (
    *optimization.RULES,
    *fit.RULES,
    *classes.RULES,
    *regularization.RULES,
    *data.RULES,
    *labels.RULES,
    *splits.RULES,
)
