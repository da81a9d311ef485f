"""Learning rates, gradients through the depth, the length of training, and numbers that are not finite."""

from __future__ import annotations

from dlexp.diagnosis.rules import rates

RULES = (rates.rate_too_high, rates.rate_too_low)
