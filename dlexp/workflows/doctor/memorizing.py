"""One batch memorized: a network that cannot do that cannot learn more either."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan

from dlexp.config.schema.regularization import RegularizationConfig
from dlexp.config.schema.run import Node, RunConfig
from dlexp.data.bundle import DataBundle
from dlexp.diagnosis.measures.constant_output import constant_loss
from dlexp.errors import DlexpError
from dlexp.runtime.seed import order
from dlexp.workflows.doctor.examined import Examined

UPDATES = 100
RATES = (1e-3, 1e-2, 1e-4)  # of Adam, tried until one is enough
ENOUGH, HARDLY = 0.5, 0.9  # loss by that of a constant output: learned below the one, nothing learned above the other
_SIZES = (32, 16, 8)
_FEWEST = 20  # updates that say something
_OFF = {"dropout": 0.0, "label_smoothing": 0.0}


@dataclass(frozen=True)
class Memorized:
    """The attempt to learn a single batch by heart, without regularization and augmentation.

    Attributes:
        samples: In the batch.
        updates: That were made.
        rate: Of Adam, the best of those tried.
        loss: Of the batch after the updates.
        constant: Loss of the best constant output, or that before the first update where this is unknown.
        is_small: Whether the network has fewer parameters than the batch has targets, so that it need not succeed.
    """

    samples: int
    updates: int
    rate: float
    loss: float
    constant: float
    is_small: bool

    @property
    def share(self) -> float:
        """The loss by that of the constant output; 0 is perfect, 1 is nothing learned."""
        if not isfinite(self.loss) or not self.constant > 0:
            return nan
        return self.loss / self.constant


def memorize(
    config: RunConfig, bundle: DataBundle, trusted: Sequence[str], seconds_per_sample: float, budget: float
) -> Memorized | str:
    """Train on one batch; returns why not, where it takes longer than `budget` seconds or does not apply.

    Args:
        config: Of the run.
        bundle: Its data.
        trusted: Trusted packages.
        seconds_per_sample: Of an update of the run.
        budget: Seconds.
    """
    affordable = [size for size in _SIZES if UPDATES * size * seconds_per_sample <= budget]
    size = min(affordable[0] if affordable else _SIZES[-1], len(bundle.splits["train"]))
    updates = min(UPDATES, int(budget / max(size * seconds_per_sample, 1e-9)))
    if updates < _FEWEST:
        return f"{_FEWEST} updates of {size} samples take longer than {budget:.0f} s"
    chosen = order(len(bundle.splits["train"]), config.seed, 0)[:size]
    few = replace(bundle.with_split_subset("train", chosen), augment="none")
    best: Memorized | None = None
    begun = time.perf_counter()
    for rate in RATES:
        if best is not None and time.perf_counter() - begun > budget / 2:
            break
        try:
            found = _attempt(_plain(config, size, updates, rate), few, trusted, updates, rate)
        except DlexpError as error:
            return str(error)
        if isinstance(found, str):
            return found
        if best is None or not best.share <= found.share:
            best = found
        if best.share <= ENOUGH:
            break
    assert best is not None
    return best


def _attempt(
    config: RunConfig, bundle: DataBundle, trusted: Sequence[str], updates: int, rate: float
) -> Memorized | str:
    examined = Examined.prepared(config, trusted, bundle)
    experiment = examined.experiment
    if list(experiment.task.phases) != ["train"]:
        return f"the task has {len(experiment.task.phases)} phases"
    batches = examined.batches_of("train")
    before = examined.loss_of("train")
    constant = constant_loss(experiment.task, examined.networks, batches, config.seed)
    trace = examined.train(updates)
    after = nan if trace.failed_at is not None or not trace.losses else examined.loss_of("train")
    if trace.losses and trace.failed_at is None and not after <= trace.losses[-1]:
        after = trace.losses[-1]  # running statistics of few updates are not those of the batch
    reference = constant if constant is not None and constant > 0 else before
    targets = len(bundle.splits["train"]) * max(1, bundle.spec.num_outputs)
    return Memorized(len(bundle.splits["train"]), updates, rate, after, reference, experiment.num_parameters <= targets)


def _plain(config: RunConfig, size: int, updates: int, rate: float) -> RunConfig:
    """The configuration with Adam at a constant rate, and without everything that hinders memorizing."""
    adam = Node("optim", "adam", "dlexp.optim.optimizers.adam.adam", {"lr": rate})
    constant = Node("scheduler", "constant", "dlexp.optim.schedules.smooth.constant", {})
    trainer = replace(
        config.trainer, epochs=updates, accumulate=1, clip_norm=None, gradient_norm=None, save_every_steps=None
    )
    return replace(
        config,
        optim=adam,
        optim_phases={},
        optim_groups=(),
        layer_decay=None,
        scheduler=constant,
        scheduler_phases={},
        model=_without(config.model),
        loss=_without(config.loss),
        balance="none",
        batch_size=size,
        regularization=RegularizationConfig(),
        trainer=trainer,
    )


def _without(node: Node) -> Node:
    """A component without dropout or label smoothing, where its own arguments set them."""
    off = {name: value for name, value in _OFF.items() if node.arguments.get(name)}
    return replace(node, arguments={**node.arguments, **off})
