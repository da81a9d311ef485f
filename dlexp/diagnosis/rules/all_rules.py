"""Every rule, by family."""

from __future__ import annotations

from collections.abc import Sequence

from dlexp.diagnosis.judge import Rule
from dlexp.diagnosis.rules import classes, fit, optimization, regularization

RULES: Sequence[Rule] = (*optimization.RULES, *fit.RULES, *classes.RULES, *regularization.RULES)
