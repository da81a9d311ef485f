"""Names of the figures that samples are measured by; nothing here loads torch."""

from __future__ import annotations

from collections.abc import Mapping

FRECHET, FRECHET_FLOOR = "frechet", "frechet_floor"
FIGURES: Mapping[str, str] = {
    FRECHET: "min",
    "precision": "max",
    "recall": "max",
    "coverage": "max",
    "near_copies": "min",
    "class_agreement": "max",
    "cas": "max",
    "class_distance": "min",
    "modes": "max",
    "good_samples": "max",
}  # name -> min or max: which is better, up to what real data have
