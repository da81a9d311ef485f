"""Every rule, by family."""

from __future__ import annotations

from collections.abc import Sequence

from dlexp.diagnosis.judge import Rule
from dlexp.diagnosis.rules.fit import classes, fit, regularization
from dlexp.diagnosis.rules.network import batch_norm, memory, outputs, parameters, units
from dlexp.diagnosis.rules.optimization import depth, length, numbers, rates, rounding
from dlexp.diagnosis.rules.samples import labels, outliers, scales, splits

RULES: Sequence[Rule] = (
    *numbers.RULES,
    *rounding.RULES,
    *rates.RULES,
    *depth.RULES,
    *length.RULES,
    *units.RULES,
    *outputs.RULES,
    *parameters.RULES,
    *batch_norm.RULES,
    *memory.RULES,
    *fit.RULES,
    *classes.RULES,
    *regularization.RULES,
    *scales.RULES,
    *outliers.RULES,
    *labels.RULES,
    *splits.RULES,
)
