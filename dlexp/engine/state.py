"""Everything that training changes, and how it becomes plain containers and back."""

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
from dlexp.regularization.weight_averaging import WeightAverage
from dlexp.runtime.seed import global_state, set_global_state

_UNCOUNTED = 64  # tensors of yes-or-no values that may wait to be counted


@dataclass
class EpochSums:
    """Sums over the training samples of the running epoch; divided by `count` they are its means.

    On a GPU the sums stay there, in float64, so that adding to them never waits; on a CPU they are Python's numbers,
    which are the same. Yes-or-no values are kept as they are and counted many batches at a time.
    """

    count: int = 0
    sums: dict[str, Tensor | float] = field(default_factory=dict)
    learning_rate: float = 0.0  # of the last update; the schedule has moved on by the time a row is written
    _uncounted: list[tuple[str, Tensor]] = field(default_factory=list)

    def add(self, name: str, values: Tensor | float, weight: int) -> None:
        """Add a mean over `weight` samples, shape (), or what is true of which of them, shape (weight,) bool."""
        if isinstance(values, float):
            self._add(name, values * weight)
        elif values.dim():
            self._uncounted.append((name, values))
        else:
            self._add(name, values.item() * weight if values.device.type == "cpu" else values.double() * weight)

    def means(self) -> dict[str, float]:
        """Name -> mean over the samples so far."""
        return {name: float(total) / max(self.count, 1) for name, total in self.totals().items()}

    def totals(self) -> dict[str, Tensor | float]:
        """Name -> sum over the samples so far."""
        waiting: dict[str, list[Tensor]] = {}
        for name, values in self._uncounted:
            waiting.setdefault(name, []).append(values)
        self._uncounted.clear()
        for name, parts in waiting.items():
            total = torch.cat(parts).sum(dtype=torch.float64)
            self._add(name, total.item() if total.device.type == "cpu" else total)
        return self.sums

    def mark(self) -> tuple[dict[str, Tensor | float], int]:
        """Where the sums stand, for `back_to`."""
        if len(self._uncounted) >= _UNCOUNTED:
            self.totals()
        return dict(self.sums), len(self._uncounted)

    def back_to(self, mark: tuple[dict[str, Tensor | float], int]) -> None:
        """Forget what was added since `mark`, when nothing was read in between."""
        sums, number = mark
        self.sums = dict(sums)
        del self._uncounted[number:]

    def _add(self, name: str, total: Tensor | float) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + total  # a new tensor, so that a mark keeps the old one


@dataclass
class Troubles:
    """What was done about losses and gradients that were not finite.

    skipped    updates left out in all
    in_a_row   the last so many of them without one in between that was made
    rollbacks  returns to the start of an epoch in all
    attempt    those of the epoch that is running; it decides the order of its samples
    """

    skipped: int = 0
    in_a_row: int = 0
    rollbacks: int = 0
    attempt: int = 0


@dataclass
class TrainState:
    """The changing part of a run.

    average   what is judged in place of the weights that are trained
    freezing  what is not trained, and until when
    epoch     epochs finished
    batch     batches taken of the epoch that is running
    step      updates made in all, those that were skipped included: they have their place in the schedule
    anchor    what `state_dict` gave at the start of the running epoch, when a rollback may want it
    """

    networks: nn.ModuleDict
    optimizers: dict[str, Optimizer]
    schedules: dict[str, Schedule]
    scaler: torch.amp.GradScaler
    best: BestSoFar
    average: WeightAverage = field(default_factory=WeightAverage)
    freezing: Freezing = field(default_factory=Freezing)
    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: EpochSums = field(default_factory=EpochSums)
    troubles: Troubles = field(default_factory=Troubles)
    anchor: dict[str, Any] | None = None

    def finish_epoch(self) -> None:
        """Move the position to the start of the next epoch."""
        self.epoch, self.batch, self.sums = self.epoch + 1, 0, EpochSums()
        self.troubles.attempt = 0

    def train_mode(self) -> None:
        """Make the networks ready for updates in the running epoch: training mode, but for what is frozen in it."""
        self.freezing.apply(self.networks, self.epoch + 1)

    @contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        """Within it the networks hold the weights that are judged and kept: an average, if the run or its optimizer
        keeps one.

        Those that are trained are put back to the bit; going there and back by an optimizer's own means would round.
        """
        averaging: list[Any] = [optimizer for optimizer in self.optimizers.values() if hasattr(optimizer, "eval")]
        judged = self.average.weights()
        if not averaging and not judged:
            yield
            return
        tensors = [tensor.detach() for tensor in (*self.networks.parameters(), *self.networks.buffers())]
        kept = [tensor.clone() for tensor in tensors]
        for optimizer in averaging:
            optimizer.eval()
        own = self.networks.state_dict()
        for name, tensor in judged.items():
            own[name].copy_(tensor)
        try:
            yield
        finally:
            for optimizer in averaging:
                optimizer.train()
            torch._foreach_copy_(tensors, kept)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the first parameter group of the first phase."""
        return float(next(iter(self.optimizers.values())).param_groups[0]["lr"])

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain containers only, so that it loads with `weights_only=True`."""
        return {
            "networks": self.networks.state_dict(),
            **self._judged(),
            "average": self.average.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "schedules": {name: schedule.state_dict() for name, schedule in self.schedules.items()},
            "scaler": self.scaler.state_dict(),
            "best": self.best.state_dict(),
            "position": {"epoch": self.epoch, "batch": self.batch, "step": self.step},
            "sums": {"count": self.sums.count, "sums": self.sums.totals(), "learning_rate": self.sums.learning_rate},
            "random": global_state(),
            "troubles": asdict(self.troubles),
            # Within an epoch the start of it goes along, so that a rollback after a resume ends where it would have.
            "anchor": self.anchor if self.batch else None,
        }

    def _judged(self) -> dict[str, Any]:
        """The weights of `evaluation_weights` beside those that are trained, for who reads the state to judge it."""
        if judged := self.average.weights():
            return {"evaluation_networks": {**self.networks.state_dict(), **judged}}
        if not any(hasattr(optimizer, "eval") for optimizer in self.optimizers.values()):
            return {}
        with self.evaluation_weights():
            weights = {name: value.clone() for name, value in self.networks.state_dict().items()}
        return {"evaluation_networks": weights}

    def load_state_dict(self, state: Mapping[str, Any], *, allow_nonfinite: bool = False) -> None:
        """Continue from `state`. Raises DlexpError for other networks or phases, and for what is no such state.

        allow_nonfinite  take weights that are NaN or infinite; a state that a rollback can mend may have them anyway
        """
        allow_nonfinite |= state.get("anchor") is not None
        average = state.get("evaluation_networks", {})
        if problem := weights_problem(self.networks.state_dict(), average, allow_nonfinite=allow_nonfinite):
            raise DlexpError(f"the average of the weights cannot be used: {problem}")
        load_weights(self.networks, state["networks"], allow_nonfinite=allow_nonfinite)
        try:
            self._load_rest(state)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            what = f"holds no {error}" if isinstance(error, KeyError) else f"does not fit: {error}"
            raise DlexpError(f"the checkpoint is no state that a run can go on from: it {what}") from error

    def _load_rest(self, state: Mapping[str, Any]) -> None:
        for name, optimizer in self.optimizers.items():
            if name not in state["optimizers"]:
                raise DlexpError(
                    f"the checkpoint has the phases {sorted(state['optimizers'])}, and this task has {name!r}"
                )
            optimizer.load_state_dict(state["optimizers"][name])
        for name, schedule in self.schedules.items():
            schedule.load_state_dict(state["schedules"][name])
        self.scaler.load_state_dict(state["scaler"])
        self.best.load_state_dict(state["best"])
        position = state["position"]
        self.epoch, self.batch, self.step = position["epoch"], position["batch"], position["step"]
        device = next(self.networks.parameters()).device
        saved = state["sums"]
        on_cpu = device.type == "cpu"
        sums = {
            name: float(total) if on_cpu else torch.as_tensor(total, dtype=torch.float64, device=device)
            for name, total in saved["sums"].items()
        }
        self.sums = EpochSums(saved["count"], sums, saved["learning_rate"])
        set_global_state(state["random"])
        self.troubles = Troubles(**state.get("troubles", {}))  # checkpoints of older versions have none
        self.average.load_state_dict(state.get("average", {}), state.get("evaluation_networks", {}))
        self.anchor = state.get("anchor")


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
        for what, names in (("missing", missing), ("not wanted", extra), ("of another shape", reshaped))
        if names
    ]
    if problems:
        raise DlexpError(f"these weights belong to another model ({'; '.join(problems)})")
    if problem := weights_problem(own, weights, allow_nonfinite=allow_nonfinite):
        raise DlexpError(f"these weights cannot be used: {problem}")
    networks.load_state_dict(weights)
