"""Every rule, by family."""

from __future__ import annotations

from collections.abc import Sequence

from dlexp.diagnosis.judge import Rule
from dlexp.diagnosis.rules import optimization

RULES: Sequence[Rule] = (*optimization.RULES,)
