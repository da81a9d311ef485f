"""The rows of the pre-flight: each has a status, its numbers and one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, prod
from typing import Any, Literal

import torch
from torch import Tensor

from dlexp.data.bundle import SPLITS, DataBundle
from dlexp.diagnosis.case import Case
from dlexp.engine.evaluate import seeded
from dlexp.errors import DlexpError
from dlexp.findings import Finding, counted, listed_places
from dlexp.networks.inspection.outputs import as_found
from dlexp.runtime.memory_budget import peak, room
from dlexp.runtime.seed import kept_randomness
from dlexp.text.time_format import spoken
from dlexp.types import Batch, Sequences
from dlexp.workflows.doctor.examined import Examined
from dlexp.workflows.doctor.memorizing import ENOUGH, HARDLY, Memorized
from dlexp.workflows.lr_find.result import Findings, round_rate

Status = Literal["ok", "warning", "error", "not measured"]

_HIGH_START = 2.0  # initial loss by that of a constant output; default initializations of the presets have 0.9 to 1.4
_BEYOND = 30.0  # a rate by the highest at which the loss still fell in the range test


@dataclass(frozen=True)
class Check:
    """A row of the table.

    Attributes:
        name: What was checked.
        status: ok; warning: the run will be worse; error: the run cannot be good; not measured, with the reason.
        text: The numbers in words.
        numbers: Name -> number.
    """

    name: str
    status: Status
    text: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"name": self.name, "status": self.status, "text": self.text, "numbers": dict(self.numbers)}


@dataclass(frozen=True)
class Measured:
    """What rows are made of.

    Attributes:
        case: Everything that was measured.
        examined: The experiment before its first update.
    """

    case: Case
    examined: Examined


@dataclass(frozen=True)
class Pace:
    """How long a run takes.

    Attributes:
        seconds: Of an update.
        evaluation: Seconds of an evaluation of the validation split.
        updates: Of an epoch.
        epochs: Of the run.
    """

    seconds: float
    evaluation: float
    updates: int
    epochs: int

    @property
    def total(self) -> float:
        """Seconds of the run."""
        return self.epochs * (self.updates * self.seconds + self.evaluation)


def numbers_in(batch: Batch) -> int:
    """Numbers of the inputs of a batch."""
    inputs = batch.inputs
    if isinstance(inputs, Sequences):
        return inputs.values.numel()
    return inputs.numel() if isinstance(inputs, Tensor) else sum(values.numel() for values in inputs.values())


def check_data(bundle: DataBundle, findings: Sequence[Finding] | None) -> Check:
    """The sizes of the splits, and the gravest finding of `dlexp data check`; None for data that are too large."""
    sizes = bundle.sizes()
    text = ", ".join(f"{sizes[name]:,} {name}" for name in SPLITS)
    numbers = {f"{name} samples": float(sizes[name]) for name in SPLITS}
    if findings is None:
        return Check("data", "ok", f"{text}; not looked into, which takes longer: dlexp data check", numbers)
    grave = [one for one in findings if one.severity != "note"]
    numbers |= {f"{severity}s": float(sum(one.severity == severity for one in findings)) for severity in _SEVERE}
    if not grave:
        return Check("data", "ok", f"{text}; no errors, no warnings", numbers)
    more = f"; {counted(len(grave) - 1, 'more finding')}: dlexp data check" if len(grave) > 1 else ""
    remedy = f" ({grave[0].remedy})" if grave[0].remedy else ""
    status: Status = "error" if grave[0].severity == "error" else "warning"
    return Check("data", status, f"{text}; {grave[0].what}{remedy}{more}", numbers)


_SEVERE = ("error", "warning")


def check_shapes(examined: Examined) -> Check:
    """The shapes of inputs and outputs, from a batch that went through the network."""
    experiment = examined.experiment
    batch = examined.batches_of("train")[0]
    with kept_randomness(), as_found(examined.networks), torch.no_grad():
        for each in seeded([batch], experiment.config.seed):
            outputs = experiment.task.predict(dict(examined.networks.items()), each).outputs
    text = f"{_shape(batch)} -> {tuple(outputs.shape)}, {experiment.num_parameters:,} parameters"
    finite = bool(torch.isfinite(outputs.float()).all())
    numbers = {"parameters": float(experiment.num_parameters), "outputs": float(prod(outputs.shape[1:]))}
    return Check("shapes", "ok" if finite else "error", text if finite else f"{text}; outputs are not finite", numbers)


def _shape(batch: Batch) -> str:
    inputs = batch.inputs
    if isinstance(inputs, Sequences):
        return str(tuple(inputs.values.shape))
    if isinstance(inputs, Tensor):
        return str(tuple(inputs.shape))
    return ", ".join(f"{name} {tuple(values.shape)}" for name, values in inputs.items())


def check_initial_loss(measured: Measured) -> Check:
    """The loss before the first update, and that of the best constant output."""
    start = measured.case.start
    loss = start.train.metrics.get("loss") if start is not None else None
    if loss is None:
        return Check("initial loss", "not measured", "the task has no loss of this name")
    if not isfinite(loss):
        return Check("initial loss", "error", "the loss is not finite before the first update", {"loss": loss})
    constant = measured.case.constant_loss
    if constant is None or constant <= 0:
        return Check("initial loss", "ok", f"{loss:.4g}; that of a constant output is not known", {"loss": loss})
    assert start is not None
    loss = min(loss, start.losses.batch_statistics)  # running statistics that no sample has changed are not those used
    share, numbers = loss / constant, {"loss": loss, "of a constant output": constant}
    text = f"{loss:.4g}, {share:.3g} times that of the best constant output ({constant:.4g})"
    status: Status = "warning" if share > _HIGH_START else "ok"
    return Check("initial loss", status, f"{text}{'' if status == 'ok' else f'; at most {_HIGH_START:g}'}", numbers)


def check_gradient_flow(case: Case) -> Check:
    """Whether the loss depends on every parameter that is trained, and every gradient is finite."""
    assert case.start is not None
    trained = [one for one in case.start.parameters if not one.is_frozen]
    lost = [one.name for one in trained if one.gradient is None]
    bad = [one.name for one in trained if one.not_finite]
    still = case.first.gradients if case.first is not None else {}
    zero = [name for name, size in still.items() if size == 0]
    numbers = {"parameters": float(len(trained)), "without a gradient": float(len(lost)), "zero": float(len(zero))}
    numbers["not finite"] = float(len(bad))
    if bad:
        return Check("gradients", "error", f"not finite in {_named(bad)}", numbers)
    if not trained:
        return Check("gradients", "error", "every parameter is frozen", numbers)
    if lost:
        status: Status = "error" if len(lost) == len(trained) else "warning"
        return Check("gradients", status, f"the loss does not depend on {_named(lost)} of {len(trained)}", numbers)
    if zero:
        return Check("gradients", "warning", f"zero in the first updates in {_named(zero)} of {len(trained)}", numbers)
    frozen = len(case.start.parameters) - len(trained)
    more = f", {frozen} frozen" if frozen else ""
    return Check("gradients", "ok", f"reach all {counted(len(trained), 'tensor')} of parameters{more}", numbers)


def _named(names: Sequence[str]) -> str:
    return f"{counted(len(names), 'tensor')} ({listed_places(names, 3)})"


def check_first_updates(case: Case) -> Check:
    """The loss of the first updates, and how far they move the weights."""
    trace = case.first
    if trace is None or not trace.losses:
        return Check("first updates", "error" if trace is not None else "not measured", "none could be made")
    count, first, last = len(trace.losses), trace.losses[0], trace.losses[-1]
    numbers = {"updates": float(count), "first loss": first, "last loss": last, "clipped": float(trace.clipped)}
    if trace.failed_at is not None:
        return Check("first updates", "error", trace.failure, numbers | {"failed at": float(trace.failed_at + 1)})
    text = f"loss {first:.4g} -> {last:.4g} in {counted(count, 'update')}"
    if trace.ratios:
        name, ratio = max(trace.ratios.items(), key=lambda item: item[1])
        text += f"; the largest moves {name} by {100 * ratio:.2g} % of its norm"
        numbers["largest change, share"] = ratio
    return Check("first updates", "ok", text, numbers)


def check_memorizing(found: Memorized | str) -> Check:
    """Whether a batch was learned by heart."""
    if isinstance(found, str):
        return Check("one batch", "not measured", found)
    numbers = {
        "samples": float(found.samples),
        "updates": float(found.updates),
        "rate": found.rate,
        "loss": found.loss,
        "of a constant output": found.constant,
        "share": found.share,
    }
    where = f"{counted(found.samples, 'sample')}, {found.updates} updates of Adam at {found.rate:g}"
    if not isfinite(found.share):
        return Check("one batch", "error", f"cannot be learned: the loss is not finite ({where})", numbers)
    text = f"loss {found.loss:.3g}, {found.share:.2g} of that of a constant output ({where})"
    if found.share <= ENOUGH or found.is_small:
        small = "; it has too few parameters to memorize more" if found.share > ENOUGH else ""
        return Check("one batch", "ok", text + small, numbers)
    limit = f"; at most {ENOUGH:g} if the network can learn"
    return Check("one batch", "error" if found.share > HARDLY else "warning", text + limit, numbers)


def check_rate(case: Case, found: Findings | str) -> Check:
    """The learning rate, and the range in which the loss falls."""
    rate = case.facts.number("optim.lr")
    if isinstance(found, str):
        return Check("learning rate", "not measured", found)
    best = found.steepest
    if rate is None or best is None:
        return Check("learning rate", "not measured", f"no clear range: {'; '.join(found.verdict.reasons)}")
    low, high = round_rate(found.verdict.low), round_rate(found.verdict.high)
    numbers = {"rate": rate, "low": low, "high": high, "steepest": best}
    unclear = f"; not clear: {found.verdict.reasons[0]}" if found.verdict.reasons else ""
    text = f"{rate:g}; the loss falls between {low:g} and {high:g}, steepest at {best:g}{unclear}"
    is_beyond = not found.verdict.reasons and rate > _BEYOND * high
    return Check("learning rate", "warning" if is_beyond else "ok", text, numbers)


def check_time(pace: Pace) -> Check:
    """The time of the run."""
    updates = pace.updates * pace.epochs
    text = f"about {spoken(pace.total)}: {counted(updates, 'update')} of {_duration(pace.seconds)}, "
    text += f"{counted(pace.epochs, 'evaluation')} of {_duration(pace.evaluation)}"
    numbers = {"seconds": pace.total, "update": pace.seconds, "evaluation": pace.evaluation, "updates": float(updates)}
    return Check("time", "ok", text, numbers)


def _duration(seconds: float) -> str:
    return f"{1e3 * seconds:.2g} ms" if seconds < 0.1 else spoken(seconds)


def check_memory(examined: Examined) -> Check:
    """The peak of the updates that were made, and what a run may use."""
    device = examined.experiment.device
    try:
        used, (limit, what) = peak(device), room(device)
    except (DlexpError, OSError, RuntimeError) as error:
        return Check("memory", "not measured", str(error))
    text = f"{used / 2**20:,.0f} MiB at the peak, of {what}"
    return Check("memory", "warning" if used > limit else "ok", text, {"peak": float(used), "limit": float(limit)})
