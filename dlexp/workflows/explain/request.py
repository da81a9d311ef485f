"""What `dlexp explain` is asked, and its methods by name, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dlexp.errors import ConfigError, Problem
from dlexp.text.nearest import nearest_name

METHODS: Mapping[str, str] = {
    "saliency": "absolute gradient of the score: where it would change fastest",
    "gradient_x_input": "gradient times input: exact for a linear network",
    "integrated_gradients": "gradients summed from the baseline to the sample; with their completeness error",
    "smoothgrad": "absolute mean gradient of noisy copies",
    "gradcam": "maps of the last layer that has some, weighted by their gradients; for images",
    "occlusion": "what the score loses when a part is hidden; for all networks",
    "attention": "attention rollout, for networks that give their attention; it is the same for every class",
    "permutation": "what the loss gains when a column is shuffled, with intervals; for tables, over a whole split",
    "shapley": "exact Shapley values, for at most 12 columns or positions",
}
BASELINES = ("mean", "zero")
MOST_SAMPLES = 32  # of one figure


@dataclass(frozen=True)
class ExplainRequest:
    """What is explained, and how.

    Attributes:
        method: One of METHODS.
        rows: Numbers of the samples in their source; () for the worst mistakes.
        split: Where they are: train, val or test.
        checkpoint: best or last.
        target: predicted, true, or the name of a class or value.
        baseline: What stands for an absent value: mean of the training data, or zero of the network's input.
        count: How many of the worst mistakes are explained.
        checks: Samples that the method is checked with; 0 for no checks.
        steps: Of integrated gradients.
        window: Side in pixels of what occlusion hides; None for an eighth of the shorter side.
        changes: Overrides, such as trainer.device.
        trusted: Trusted packages.
        allow_changes: Whether changed data and an edited configuration are allowed.
    """

    method: str
    rows: tuple[int, ...] = ()
    split: str = "val"
    checkpoint: str = "best"
    target: str = "predicted"
    baseline: str = "mean"
    count: int = 8
    checks: int = 100
    steps: int = 64
    window: int | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    trusted: tuple[str, ...] = ()
    allow_changes: bool = False


def check_request(request: ExplainRequest) -> None:
    """Raise ConfigError with everything that is wrong with a request and can be seen without the run."""
    problems = [
        *_word("--method", request.method, tuple(METHODS)),
        *_word("--split", request.split, ("train", "val", "test")),
        *_word("--checkpoint", request.checkpoint, ("best", "last")),
        *_word("--baseline", request.baseline, BASELINES),
    ]
    if max(len(request.rows), request.count) > MOST_SAMPLES:
        where, given = ("ROW", len(request.rows)) if request.rows else ("--count", request.count)
        rule = f"a figure shows at most {MOST_SAMPLES} samples"
        problems.append(Problem(where, str(given), rule, "Explain the others with another command.", code="too-large"))
    if 0 < request.checks < 2:
        rule = "must be 0 (no checks) or at least 2"
        problems.append(Problem("--checks", str(request.checks), rule, "Use 50 or more.", code="too-few-samples"))
    if problems:
        raise ConfigError(problems)


def _word(name: str, value: str, allowed: tuple[str, ...]) -> list[Problem]:
    if value in allowed:
        return []
    near = nearest_name(value, allowed)
    remedy = f"Did you mean {near}?" if near else ""
    return [Problem(name, value, f"must be one of {', '.join(allowed)}", remedy, code="unknown-value")]
