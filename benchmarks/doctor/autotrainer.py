"""The rules of AutoTrainer (Zhang et al., ICSE 2021), the baseline: thresholds of its monitor.py, on the same runs.

It watches a training in Keras; here its numbers come from a run that is over. Approximated: the gradients are those of
one batch at the last stored weights, not of each epoch; the losses and accuracies are those of metrics.csv.
Its problems stand for these codes: vanish for vanishing_gradients; explode for exploding_gradients, and not_finite
where the loss was not a number; relu for dead_units; unstable for rate_too_high; not_converge for rate_too_low.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch

from benchmarks.doctor.runs import TRUSTED, Outcome
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import assemble
from dlexp.assemble.training import prepare_training
from dlexp.config.saved import load_saved
from dlexp.errors import DlexpError
from dlexp.workflows.run_record.restore import load_eval_weights

ENOUGH = 0.7  # accuracy from which nothing is reported
VANISHING_RATIO, VANISHING = 1e-3, 1e-4
EXPLODING_RATIO = 70.0
DEAD_SHARE = 0.7
SWING, SWINGING_SHARE = 0.03, 0.2
SLOWEST_STEP = 0.01


def problems(outcome: Outcome) -> list[str]:
    """The codes of what it would report, in the order of its checks."""
    losses, accuracies = _column(outcome, "train/loss"), _column(outcome, "train/accuracy")
    if outcome.error or not all(map(math.isfinite, losses)):
        return ["not_finite", "exploding_gradients"]
    if not accuracies or max(accuracies) >= ENOUGH:
        return []
    norms, zeros = _gradients(Path(outcome.run))
    found = []
    if norms and norms[0] < VANISHING and norms[0] / max(norms[-1], 1e-30) < VANISHING_RATIO:
        found.append("vanishing_gradients")
    if norms and norms[0] / max(norms[-1], 1e-30) > EXPLODING_RATIO:
        found.append("exploding_gradients")
    if zeros >= DEAD_SHARE:
        found.append("dead_units")
    steps = [after - before for before, after in pairwise(accuracies)]
    if steps and sum(step < -SWING for step in steps) >= SWINGING_SHARE * len(steps):
        found.append("rate_too_high")
    elif steps and max(steps) < SLOWEST_STEP:
        found.append("rate_too_low")
    return found


def _column(outcome: Outcome, name: str) -> Sequence[float]:
    return outcome.found.get(name, [])


def _gradients(run: Path) -> tuple[list[float], float]:
    """Norms of the gradients of the weight matrices, first to last, and the share of zeros in all of them."""
    config = load_saved(run / "config.yaml", {})
    experiment = assemble(config, TRUSTED)
    setup = prepare_training(experiment)
    try:
        load_eval_weights(RunDir(run), experiment, "last")
    except DlexpError:
        return [], 0.0
    phase = next(iter(experiment.task.phases))
    batch = next(iter(setup.batches.epoch(0)))
    loss = experiment.task.loss(phase, dict(experiment.networks.items()), batch).value
    weights = [weight for weight in experiment.networks.parameters() if weight.dim() > 1 and weight.requires_grad]
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    known = [gradient for gradient in gradients if gradient is not None]
    count = sum(gradient.numel() for gradient in known)
    zeros = sum(int((gradient == 0).sum()) for gradient in known)
    return [float(gradient.norm()) for gradient in known], zeros / max(count, 1)
