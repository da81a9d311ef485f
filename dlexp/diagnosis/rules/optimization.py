"""Learning rates, gradients through the depth, the length of training, and numbers that are not finite."""

from __future__ import annotations

from dlexp.diagnosis.rules import depth, length, numbers, rates

RULES = (
    numbers.not_finite,
    rates.rate_too_high,
    depth.vanishing_gradients,
    depth.exploding_gradients,
    length.batch_too_large,
    numbers.low_precision,
    rates.rate_too_low,
    length.plateau,
    length.stopped_too_soon,
)
