"""The state that training changes, and its conversion to plain containers and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dlexp.engine.best_epoch import BestSoFar
from dlexp.errors import DlexpError
from dlexp.networks.weight_checks import weights_problem
from dlexp.optim.freezing import Freezing
from dlexp.optim.schedules.base import Schedule
from dlexp.optim.traits import OptimizerTraits, traits_of
from dlexp.regularization.weight_averaging import NoAverage, WeightAverage
from dlexp.runtime.distributed import ALONE, ProcessGroup
from dlexp.runtime.seed import global_state, set_global_state

_UNCOUNTED = 64  # tensors of values that may wait to be summed up
_LARGE = 1 << 14  # elements; a larger tensor is summed up at once and not kept


@dataclass
class EpochSums:
    """Sums of losses and of further values over the running epoch; divided by their weights they are its means.

    On a GPU the sums stay there, in float64, so that adding to them never waits; on a CPU they are Python's numbers,
    which are the same. Yes-or-no values are kept as they are and counted many batches at a time.

    Attributes:
        count: Training samples so far, in this process.
        sums: Name -> (sum, weight): terms of a loss (`Task.loss_weight`), or elements of a part.
        learning_rates: Phase -> learning rate of the last update; the schedules are one further when a row is written.
    """

    count: int = 0
    sums: dict[str, tuple[Tensor | float, Tensor | float]] = field(default_factory=dict)
    learning_rates: dict[str, float] = field(default_factory=dict)
    _uncounted: list[tuple[str, Tensor]] = field(default_factory=list)

    def add(self, name: str, values: Tensor | float, weight: Tensor | float) -> None:
        """Add a mean over `weight` terms, shape (); or values of any other shape, each element of which counts once."""
        if isinstance(values, float):
            self._add(name, values * weight, weight)
        elif not values.dim():
            on_cpu = values.device.type == "cpu"
            self._add(name, values.item() * weight if on_cpu else values.double() * weight, weight)
        elif values.numel() > _LARGE:
            self._add_elements(name, values)
        else:
            self._uncounted.append((name, values))

    def means(self, group: ProcessGroup = ALONE) -> dict[str, float]:
        """Name -> mean so far, over the samples of all processes of `group`; it waits for a GPU."""
        here = {name: (float(total), float(weight)) for name, (total, weight) in self.totals().items()}
        everywhere: dict[str, tuple[float, float]] = {}
        for part in group.gather(here):
            for name, (total, weight) in part.items():
                before = everywhere.get(name, (0.0, 0.0))
                everywhere[name] = (before[0] + total, before[1] + weight)
        return {name: total / weight for name, (total, weight) in everywhere.items() if weight}

    def totals(self) -> dict[str, tuple[Tensor | float, Tensor | float]]:
        """Name -> (sum, weight) so far in this process."""
        waiting: dict[str, list[Tensor]] = {}
        for name, values in self._uncounted:
            waiting.setdefault(name, []).append(values.flatten())
        self._uncounted.clear()
        for name, parts in waiting.items():
            self._add_elements(name, torch.cat(parts))
        return self.sums

    def mark(self) -> tuple[dict[str, tuple[Tensor | float, Tensor | float]], int]:
        """The present sums, for `back_to`."""
        if len(self._uncounted) >= _UNCOUNTED:
            self.totals()
        return dict(self.sums), len(self._uncounted)

    def back_to(self, mark: tuple[dict[str, tuple[Tensor | float, Tensor | float]], int]) -> None:
        """Forget what was added since `mark`, when nothing was read in between."""
        sums, number = mark
        self.sums = dict(sums)
        del self._uncounted[number:]

    def to_plain(self) -> dict[str, Any]:
        """Tensors and plain containers."""
        sums = {name: [total, weight] for name, (total, weight) in self.totals().items()}
        return {"count": self.count, "sums": sums, "learning_rates": dict(self.learning_rates)}

    @classmethod
    def from_plain(cls, saved: Mapping[str, Any], device: torch.device) -> EpochSums:
        """The sums that `to_plain` gave, on `device`."""

        def number(value: Any) -> Tensor | float:
            on_cpu = device.type == "cpu"
            return float(value) if on_cpu else torch.as_tensor(value, dtype=torch.float64, device=device)

        sums = {name: (number(total), number(weight)) for name, (total, weight) in saved["sums"].items()}
        return cls(saved["count"], sums, dict(saved["learning_rates"]))

    def _add_elements(self, name: str, values: Tensor) -> None:
        total = values.sum(dtype=torch.float64)
        self._add(name, total.item() if total.device.type == "cpu" else total, values.numel())

    def _add(self, name: str, total: Tensor | float, weight: Tensor | float) -> None:
        before = self.sums.get(name, (0.0, 0.0))  # new tensors, so that a mark keeps the old ones
        self.sums[name] = (before[0] + total, before[1] + weight)


@dataclass
class NonFiniteCounts:
    """Counts of the reactions to losses and gradients that were not finite.

    skipped    updates that were skipped
    in_a_row   the last so many of them, without one in between that was made
    rollbacks  rollbacks to the start of an epoch
    attempt    rollbacks of the running epoch; it decides the order of its samples
    """

    skipped: int = 0
    in_a_row: int = 0
    rollbacks: int = 0
    attempt: int = 0


@dataclass
class TrainState:
    """The changing part of a run.

    average      average of the weights that is evaluated in place of the trained ones
    freezing     parameters that are not trained, and until which epoch
    epoch        epochs finished
    batch        batches taken of the running epoch
    step         updates made in all, those that were skipped included: they have their place in the schedule
    epoch_start  `state_dict` at the start of the running epoch, where a rollback may need it
    keeps_generators  whether anything may draw from Python's or NumPy's generators; where nothing does, their states
                      are read once and not at every save
    traits       phase -> those of its optimizer
    """

    networks: nn.ModuleDict
    optimizers: dict[str, Optimizer]
    schedules: dict[str, Schedule]
    scaler: torch.amp.GradScaler
    best: BestSoFar
    average: WeightAverage = field(default_factory=NoAverage)
    freezing: Freezing = field(default_factory=Freezing)
    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: EpochSums = field(default_factory=EpochSums)
    nonfinite: NonFiniteCounts = field(default_factory=NonFiniteCounts)
    epoch_start: dict[str, Any] | None = None
    keeps_generators: bool = True
    traits: dict[str, OptimizerTraits] = field(init=False)
    _generators: dict[str, Any] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.traits = {phase: traits_of(optimizer) for phase, optimizer in self.optimizers.items()}

    def finish_epoch(self) -> None:
        """Move the position to the start of the next epoch."""
        self.epoch, self.batch, self.sums = self.epoch + 1, 0, EpochSums()
        self.nonfinite.attempt = 0

    def train_mode(self) -> None:
        """Make the networks ready for updates in the running epoch: training mode, but for what is frozen in it."""
        self.freezing.apply(self.networks, self.epoch + 1)

    @contextmanager
    def eval_weights(self) -> Iterator[None]:
        """Within it the networks hold the weights that are evaluated and kept as the best: an average, if the run or
        its optimizer keeps one.

        The trained ones are put back to the bit; the optimizer's own way back would round.
        """
        averaging: list[Any] = [self.optimizers[phase] for phase, has in self.traits.items() if has.keeps_average]
        averages = self.average.weights()
        if not averaging and not averages:
            yield
            return
        tensors = [tensor.detach() for tensor in (*self.networks.parameters(), *self.networks.buffers())]
        kept = [tensor.clone() for tensor in tensors]
        for optimizer in averaging:
            optimizer.eval()
        own = self.networks.state_dict()
        for name, tensor in averages.items():
            own[name].copy_(tensor)
        try:
            yield
        finally:
            for optimizer in averaging:
                optimizer.train()
            torch._foreach_copy_(tensors, kept)

    @property
    def learning_rates(self) -> dict[str, float]:
        """Phase -> learning rate of its first parameter group."""
        return {phase: float(optimizer.param_groups[0]["lr"]) for phase, optimizer in self.optimizers.items()}

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain containers only, so that it loads with `weights_only=True`."""
        return {
            "networks": self.networks.state_dict(),
            **self._averaged(),
            "average": self.average.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "schedules": {name: schedule.state_dict() for name, schedule in self.schedules.items()},
            "scaler": self.scaler.state_dict(),
            "best": self.best.state_dict(),
            "position": {"epoch": self.epoch, "batch": self.batch, "step": self.step},
            "sums": self.sums.to_plain(),
            "random": self._random(),
            "nonfinite": asdict(self.nonfinite),
            # Within an epoch the start of it goes along, so that a rollback after a resume ends where it would have.
            "epoch_start": self.epoch_start if self.batch else None,
        }

    def _random(self) -> dict[str, Any]:
        """The states of Python's and NumPy's generators."""
        if self.keeps_generators or self._generators is None:
            self._generators = global_state()
        return self._generators

    def _averaged(self) -> dict[str, Any]:
        """The weights within `eval_weights`, beside the trained ones, for whoever evaluates the saved state."""
        if averages := self.average.weights():
            return {"eval_weights": {**self.networks.state_dict(), **averages}}
        if not any(has.keeps_average for has in self.traits.values()):
            return {}
        with self.eval_weights():
            weights = {name: value.clone() for name, value in self.networks.state_dict().items()}
        return {"eval_weights": weights}

    def load_state_dict(self, state: Mapping[str, Any], *, allow_nonfinite: bool = False) -> None:
        """Continue from `state`. Raises DlexpError for other networks or phases, and for anything else.

        allow_nonfinite  take weights that are NaN or infinite; a state that a rollback can mend may have them anyway
        """
        allow_nonfinite |= state.get("epoch_start") is not None
        average = state.get("eval_weights", {})
        if problem := weights_problem(self.networks.state_dict(), average, allow_nonfinite=allow_nonfinite):
            raise DlexpError(f"the averaged weights are not valid: {problem}", code="incompatible-weights")
        load_weights(self.networks, state["networks"], allow_nonfinite=allow_nonfinite)
        try:
            self._load_rest(state)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            what = f"has no {error}" if isinstance(error, KeyError) else f"does not fit: {error}"
            raise DlexpError(
                f"the checkpoint is not a state that training can resume from: it {what}", code="corrupted"
            ) from error

    def _load_rest(self, state: Mapping[str, Any]) -> None:
        for name, optimizer in self.optimizers.items():
            if name not in state["optimizers"]:
                raise DlexpError(
                    f"the checkpoint has the phases {sorted(state['optimizers'])}; this task has {name!r}",
                    code="incompatible-run",
                )
            optimizer.load_state_dict(state["optimizers"][name])
        for name, schedule in self.schedules.items():
            schedule.load_state_dict(state["schedules"][name])
        self.scaler.load_state_dict(state["scaler"])
        self.best.load_state_dict(state["best"])
        position = state["position"]
        self.epoch, self.batch, self.step = position["epoch"], position["batch"], position["step"]
        self.sums = EpochSums.from_plain(state["sums"], next(self.networks.parameters()).device)
        set_global_state(state["random"])
        self._generators = state["random"]
        self.nonfinite = NonFiniteCounts(**state["nonfinite"])
        self.average.load_state_dict(state["average"], state.get("eval_weights", {}))
        self.epoch_start = state["epoch_start"]


def weights_for(networks: nn.ModuleDict, checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Name -> tensor of the evaluation weights of a checkpoint for `networks`; its task may have trained others too."""
    weights = checkpoint.get("eval_weights", checkpoint["networks"])
    return {name: value for name, value in weights.items() if name.partition(".")[0] in networks}


def load_weights(networks: nn.ModuleDict, weights: Mapping[str, Tensor], *, allow_nonfinite: bool = False) -> None:
    """Put `weights` into `networks`, which were just built.

    Raises DlexpError that names what is missing, left over or of another shape, and a tensor that is not dense, of
    another kind of numbers or, unless `allow_nonfinite`, not finite.
    """
    own = networks.state_dict()
    missing, extra = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    reshaped = [
        f"{name} {tuple(weights[name].shape)} for {tuple(own[name].shape)}"
        for name in sorted(own.keys() & weights.keys())
        if not weights[name].is_nested and weights[name].shape != own[name].shape
    ]
    problems = [
        f"{what}: {', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"
        for what, names in (("missing", missing), ("unexpected", extra), ("of another shape", reshaped))
        if names
    ]
    if problems:
        raise DlexpError(f"the weights belong to another model ({'; '.join(problems)})", code="incompatible-weights")
    if problem := weights_problem(own, weights, allow_nonfinite=allow_nonfinite):
        raise DlexpError(f"the weights are not valid: {problem}", code="incompatible-weights")
    networks.load_state_dict(weights)
