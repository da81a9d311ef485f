"""Every rule, by family."""

from __future__ import annotations

from collections.abc import Sequence

from dlexp.diagnosis.judge import Rule
from dlexp.diagnosis.rules import data, labels, optimization, splits

RULES: Sequence[Rule] = (*optimization.RULES, *data.RULES, *labels.RULES, *splits.RULES)
