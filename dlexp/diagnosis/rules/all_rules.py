"""Every rule, by family."""

from __future__ import annotations

from collections.abc import Sequence

from dlexp.diagnosis.judge import Rule
from dlexp.diagnosis.rules import (
    batch_norm,
    data,
    labels,
    memory,
    optimization,
    outputs,
    parameters,
    splits,
    units,
)
from dlexp.diagnosis.rules.fit import classes, fit, regularization

RULES: Sequence[Rule] = (
    *optimization.RULES,
    *units.RULES,
    *outputs.RULES,
    *parameters.RULES,
    *batch_norm.RULES,
    *memory.RULES,
    *fit.RULES,
    *classes.RULES,
    *regularization.RULES,
    *data.RULES,
    *labels.RULES,
    *splits.RULES,
)
