"""The graphs of a run: which updates are made by one, found in the cache or compiled, and what they saved."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy as shallow
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dlexp.artifacts.graph_cache import cache_folder, find_graph, keep_graph, seconds_per_operation, working_folder
from dlexp.engine.one_graph.compilation import Library, compile_update, load
from dlexp.engine.one_graph.draws import DrawOutside
from dlexp.engine.one_graph.recording import Recording, Untraceable
from dlexp.engine.one_graph.update import (
    Numbers,
    PhaseOutcome,
    PhaseUpdate,
    as_compiled,
    flattened,
    run_as_graph,
    tensors_changed_by,
    undone,
)
from dlexp.engine.state import EpochSums, TrainState
from dlexp.engine.step import StepRules, default_backward, phase_seed, plain_weight, step_phase
from dlexp.errors import Diverged, message_of
from dlexp.optim.plain_steps import counters, state_tensors
from dlexp.runtime.seed import derive, seed_step
from dlexp.tasks.base import Task
from dlexp.types import Batch

_FORMAT = 2  # of what a graph takes and returns: another one is another fingerprint
_TIMED = 50  # updates of a graph that are timed


@dataclass
class _Graph:
    """A loaded graph of a phase, and what must be as it was when it was made.

    networks  parameters and buffers
    numbers   the tensors that are filled before each update
    names     of the values that it returns, with the number of the micro batch of each
    """

    run: Callable[[list[Tensor]], list[Tensor]]
    draws: tuple[DrawOutside, ...]
    numbers: Numbers
    names: list[tuple[str, int]]
    count: int
    rates: list[float] = field(default_factory=list)


@dataclass
class _Phase:
    """What is known of a phase: the conditions of its graphs, and the present one."""

    epoch: tuple[int, int] | None = None
    conditions: Any = None
    networks: list[Tensor] = field(default_factory=list)
    graph: _Graph | None = None
    by_conditions: dict[Any, _Graph] = field(default_factory=dict)
    reason: str = ""


@dataclass
class GraphCounts:
    """What the graphs of a run did, as numbers for its summary.

    updates       phases of updates that a graph made
    eager         reason -> those that were made eagerly
    compiled      graphs that were compiled
    from_cache    graphs that were found in the cache
    seconds       of compiling
    eager_second  seconds of an eager update; `graph_second` those of one by the graph, over the first of them
    """

    updates: int = 0
    eager: Counter[str] = field(default_factory=Counter)
    compiled: int = 0
    from_cache: int = 0
    seconds: float = 0.0
    eager_second: float = 0.0
    graph_second: float = 0.0
    timed: int = 0

    def text(self) -> str:
        """All of them in a line for the log."""
        eager = ", ".join(f"{count} {reason}" for reason, count in self.eager.items())
        made = f"one graph: {self.updates} updates by graphs, {sum(self.eager.values())} eager ({eager}); "
        found = f"{self.compiled} compiled in {self.seconds:.1f} s, {self.from_cache} from the cache"
        if not self.timed:
            return made + found
        pace = f"{1000 * self.graph_second:.3g} ms each, {1000 * self.eager_second:.3g} eagerly"
        return f"{made}{found}; {pace}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        saved = self.eager_second - self.graph_second
        return {
            "updates": self.updates,
            "eager_updates": dict(self.eager),
            "compiled": self.compiled,
            "from_cache": self.from_cache,
            "compile_seconds": round(self.seconds, 2),
            "eager_milliseconds": round(1000 * self.eager_second, 3),
            "graph_milliseconds": round(1000 * self.graph_second, 3),
            "saved_seconds": round(self.updates * saved, 2) if self.timed else 0.0,
        }


class PhaseGraphs:
    """Makes the phases of updates by graphs: called by `train_step` before each phase.

    The first update of a phase is eager, as it creates the state of the optimizer, and so are batches of another size
    than the usual one. Which updates those are is a function of the position: a resumed run ends at the same bits.

    Args:
        sizes: Samples of each micro batch of a usual update.
        updates: Updates of the whole run, for the forecast.
        say: Receives a line about each graph.
    """

    def __init__(self, sizes: Sequence[int], updates: int, say: Callable[[str], None] = lambda text: None) -> None:
        self._sizes, self._updates, self.say = list(sizes), updates, say
        self._phases: dict[str, _Phase] = {}
        self.counts = GraphCounts()

    def __call__(
        self, task: Task, state: TrainState, micro_batches: Sequence[Batch], rules: StepRules, turn: tuple[str, int]
    ) -> bool:
        """Make a phase of an update by its graph; False where it must be made eagerly, with nothing changed."""
        update = PhaseUpdate(task, state, micro_batches, rules, turn)
        phase = self._phases.setdefault(turn[0], _Phase())
        reason = phase.reason or self._reason(update)
        if not reason:
            tensors, batches = flattened(micro_batches)
            graph = self._graph(phase, update, tensors, batches)
            if graph is not None and self._run(graph, phase.networks, update, tensors):
                self.counts.updates += 1
                return True
            reason = phase.reason or ("the optimizer's state begins" if graph is None else "something is not finite")
        self.counts.eager[reason] += 1
        return False

    def _reason(self, update: PhaseUpdate) -> str:
        """Why this update is eager, "" if it is not."""
        if update.state.step < update.task.phases[update.turn[0]].every:
            return "first update"
        if [len(batch) for batch in update.micro_batches] != self._sizes:
            return "batch of another size"
        if update.rules.backward is not default_backward:
            return "it is measured"
        return ""

    def _graph(
        self, phase: _Phase, update: PhaseUpdate, tensors: list[Tensor], batches: Sequence[Batch]
    ) -> _Graph | None:
        """The graph for the present conditions, which can change from epoch to epoch; None where there is none yet."""
        place = (update.state.epoch, update.state.nonfinite.attempt)
        if phase.epoch != place or phase.graph is None:
            phase.networks = network_tensors(update.state.networks)
            conditions = _conditions(update, phase.networks, tensors)
            if conditions not in phase.by_conditions:
                try:
                    made = self._make(phase.networks, update, tensors, batches)
                except Untraceable as error:
                    phase.reason = str(error)
                    self.say(f"one graph: phase {update.turn[0]!r} is not made by a graph: {error}")
                    return None
                if made is None:
                    return None
                phase.by_conditions[conditions] = made
            phase.epoch, phase.graph = place, phase.by_conditions[conditions]
        if phase.graph.count != len(phase.networks) + len(state_tensors(update.optimizer)):
            return None
        return phase.graph

    def _make(
        self, networks: list[Tensor], update: PhaseUpdate, tensors: list[Tensor], batches: Sequence[Batch]
    ) -> _Graph | None:
        """Record the update, and load its graph from the cache or compile it. Raises Untraceable."""
        seconds = _eager_seconds(update, tensors_changed_by(update, networks))
        if seconds is None:
            return None
        given = tensors_changed_by(update, networks)
        numbers, outcome, recording = record(update, given, tensors, batches)
        if len(tensors_changed_by(update, networks)) != len(given) or recording is None:
            return None
        folder, name = cache_folder(), recording.fingerprint()
        self.counts.eager_second = self.counts.eager_second or seconds
        found = find_graph(folder, name)
        if found is not None:
            library = Library(found[0], tuple(DrawOutside.from_plain(draw) for draw in found[1]["draws"]))
            self.counts.from_cache += 1
            self.say(f"one graph: {recording.operations} operations, compiled before, from {found[0].parent}")
        else:
            self.say(self._forecast(recording.operations, seconds, update.state.step))
            try:
                library = self._compile(update, given, tensors, batches, numbers, (name, recording.operations))
            except Untraceable:
                raise
            except Exception as error:  # of a compiler that has no memory, or that Ctrl-C has ended
                reason = f"{type(error).__name__}: {message_of(error).splitlines()[0]}"
                raise Untraceable(f"compiling failed: {reason}") from error
        run = load(library, tensors[-1].device)
        if library.path.parent.parent != folder:
            shutil.rmtree(library.path.parent, ignore_errors=True)  # what is loaded needs no file
        return _Graph(run, library.draws, numbers, outcome.names, len(given))

    def _compile(
        self,
        update: PhaseUpdate,
        given: list[Tensor],
        tensors: list[Tensor],
        batches: Sequence[Batch],
        numbers: Numbers,
        known: tuple[str, int],
    ) -> Library:
        begun, folder = time.perf_counter(), cache_folder()
        working = working_folder(folder)

        def function(*_: Tensor) -> list[Tensor]:
            return run_as_graph(update, given, batches, numbers).tensors()

        inputs = [*given, *numbers.tensors(), *tensors]
        try:
            with undone(update, given), as_compiled():
                seed_step(phase_seed(update.state, update.rules, update.turn))
                library = compile_update(function, inputs, working)
            seconds = time.perf_counter() - begun
            facts = {"draws": [draw.to_plain() for draw in library.draws], "seconds": seconds, "operations": known[1]}
            path = keep_graph(folder, known[0], working, library.path, facts)
        except BaseException:
            shutil.rmtree(working, ignore_errors=True)
            raise
        self.counts.compiled += 1
        self.counts.seconds += seconds
        kept = f"kept in {path.parent}" if path.parent.parent == folder else f"not kept: {folder} cannot be written"
        self.say(f"one graph: compiled in {seconds:.1f} s, {kept}")
        return Library(path, library.draws)

    def _forecast(self, operations: int, seconds: float, step: int) -> str:
        """What compiling costs and saves, told before it is done."""
        each = seconds_per_operation(cache_folder())
        cost = 8.0 + 0.06 * operations if each is None else each * operations
        saved = min(0.75 * seconds, _DISPATCH * operations)
        left = max(0, self._updates - step)
        message = (
            f"one graph: compiling {operations} operations takes about {cost:.0f} s, once on this machine; "
            f"{left} updates are left, each of {1000 * seconds:.2g} ms, and save about {left * saved:.2g} s"
        )
        if left * saved >= cost:
            return message
        rule = f"this run alone is faster without trainer.compile=step, which pays from {cost / saved:.0f} updates"
        return f"{message}: {rule}"

    def _run(self, graph: _Graph, networks: list[Tensor], update: PhaseUpdate, tensors: list[Tensor]) -> bool:
        """Make the update; False where something is not finite and nothing was changed."""
        begun = time.perf_counter()
        state, rules, optimizer = update.state, update.rules, update.optimizer
        update.task.begin_phase(state.epoch, state.step)
        fill(graph.numbers, graph.rates, update)
        seed = phase_seed(state, rules, update.turn)
        draws = []
        if graph.draws:
            seed_step(seed)
            draws = [draw() for draw in graph.draws]
        noise = drawn_noise(update, seed)
        given = [*networks, *state_tensors(optimizer)]
        with torch.no_grad():
            *values, finite = graph.run([*given, *graph.numbers.rates, *graph.numbers.counts, *noise, *tensors, *draws])
        if rules.check_every_step and not finite.item():
            return False
        for number, key in counters(optimizer):
            optimizer.param_groups[number][key] += 1
        weights = [plain_weight(update.task.loss_weight(update.turn[0], batch)) for batch in update.micro_batches]
        for (name, number), value in zip(graph.names, values, strict=True):
            state.sums.add(name, value, weights[number])
        counts = self.counts
        if counts.timed < _TIMED:
            counts.timed += 1
            counts.graph_second += (time.perf_counter() - begun - counts.graph_second) / counts.timed
        return True


_DISPATCH = 2.5e-6  # seconds that an operation of eager code costs beside its arithmetic


def record(
    update: PhaseUpdate, given: list[Tensor], tensors: list[Tensor], batches: Sequence[Batch]
) -> tuple[Numbers, PhaseOutcome, Recording | None]:
    """Record an update twice, at two positions of the run, and undo it; None for one that begins a state.

    Raises Untraceable where the two differ: what an update computes must not depend on its number.
    """
    device = tensors[-1].device
    rates = [torch.zeros((), dtype=torch.float64, device=device) for _ in update.optimizer.param_groups]
    counting = counters(update.optimizer)
    for counts in (
        [[]] if not counting else [[], [torch.zeros((), dtype=torch.float64, device=device) for _ in counting]]
    ):
        numbers = Numbers(rates, counts, drawn_noise(update, 0))
        fill(numbers, [], update)
        first, outcome = _recorded(update, given, tensors, batches, numbers)
        if first is None:
            return numbers, outcome, None
        later = shallow(update.state)
        later.step, later.epoch = later.step + 1, later.epoch + 1
        with undone(update, given):
            for number, key in counting:
                update.optimizer.param_groups[number][key] += 1
            other = PhaseUpdate(update.task, later, update.micro_batches, update.rules, update.turn)
            second, _ = _recorded(other, given, tensors, batches, numbers)
        if second is not None and first.fingerprint() == second.fingerprint():
            update.task.begin_phase(update.state.epoch, update.state.step)
            return numbers, outcome, first
    raise Untraceable("what it computes depends on the number of the update or of the epoch")


def _recorded(
    update: PhaseUpdate, given: list[Tensor], tensors: list[Tensor], batches: Sequence[Batch], numbers: Numbers
) -> tuple[Recording | None, PhaseOutcome]:
    recording = Recording([*given, *numbers.tensors(), *tensors])
    recording.add(_FORMAT, torch.get_num_threads(), update.rules.check_every_step)
    before = len(state_tensors(update.optimizer))
    with undone(update, given), as_compiled():
        seed_step(phase_seed(update.state, update.rules, update.turn))
        with recording:
            outcome = run_as_graph(update, given, batches, numbers)
        begins = len(state_tensors(update.optimizer)) != before
    return (None if begins else recording), outcome


def fill(numbers: Numbers, known: list[float], update: PhaseUpdate) -> None:
    """Put the present learning rates and counts into their tensors; `known` are the rates that are there."""
    groups = update.optimizer.param_groups
    present = [float(group["lr"]) for group in groups]
    if present != known:
        for tensor, rate in zip(numbers.rates, present, strict=True):
            tensor.fill_(rate)
        known[:] = present
    if numbers.counts:
        for tensor, (number, key) in zip(numbers.counts, counters(update.optimizer), strict=True):
            tensor.fill_(groups[number][key])


def drawn_noise(update: PhaseUpdate, seed: int) -> list[Tensor]:
    """The noise for the gradient of every parameter, in the order of the eager update; [] without."""
    noise = update.rules.noise
    if noise is None:
        return []
    seed_step(derive(seed, "noise"))
    deviation = noise.deviation(update.state.step)
    parameters = [p for group in update.optimizer.param_groups for p in group["params"] if p.requires_grad]
    return [torch.randn_like(p.detach()).mul_(deviation) for p in parameters]


def network_tensors(networks: nn.Module) -> list[Tensor]:
    """Parameters and buffers."""
    return [*networks.parameters(), *networks.buffers()]


def _conditions(update: PhaseUpdate, networks: Sequence[Tensor], tensors: Sequence[Tensor]) -> Any:
    """What a graph was made for: shapes, frozen parameters, modes of modules, settings of the optimizer."""
    counts = {key for _, key in counters(update.optimizer)} | {"lr", "initial_lr", "params"}
    return (
        tuple((tuple(t.shape), t.stride(), t.dtype) for t in (*networks, *tensors)),
        tuple(t.requires_grad for t in networks),
        tuple(module.training for module in update.state.networks.modules()),
        tuple(repr({k: v for k, v in group.items() if k not in counts}) for group in update.optimizer.param_groups),
        len(state_tensors(update.optimizer)),
    )


def _eager_seconds(update: PhaseUpdate, given: Sequence[Tensor]) -> float | None:
    """Seconds of the eager update: the fastest of a few, undone; None where something is not finite."""
    times: list[float] = []
    while len(times) < 5 and sum(times) < 0.2:
        state = shallow(update.state)
        state.sums = EpochSums()
        with undone(update, given):
            begun = time.perf_counter()
            try:
                step_phase(update.task, state, update.micro_batches, update.rules, update.turn)
            except Diverged:
                return None
            times.append(time.perf_counter() - begun)
    return min(times)
