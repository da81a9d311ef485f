"""Every rule, by family."""

from __future__ import annotations

from collections.abc import Sequence

from dlexp.diagnosis.judge import Rule
from dlexp.diagnosis.rules import (
    batch_norm,
    classes,
    data,
    fit,
    labels,
    memory,
    optimization,
    outputs,
    parameters,
    regularization,
    splits,
    units,
)

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
