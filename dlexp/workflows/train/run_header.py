"""The facts shown when a training starts."""

from __future__ import annotations

from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.experiment import Experiment
from dlexp.assemble.metrics import described_metrics
from dlexp.config.check.metrics import directions
from dlexp.engine.state import TrainState
from dlexp.report.number_format import number
from dlexp.workflows.reporter import RunFacts
from dlexp.workflows.run_record.write import experiment_facts


def run_facts(run: RunDir, experiment: Experiment, state: TrainState, num_batches: int) -> RunFacts:
    """The facts of a run that starts or resumes at `state`; an epoch has `num_batches` batches."""
    config, facts = experiment.config, experiment_facts(experiment)
    sizes = facts["samples"]
    values, reasons = experiment.settings.summary()
    rate, batch = config.optim.arguments.get("lr"), str(config.batch_size)
    if config.trainer.accumulate > 1:
        batch += f" x {config.trainer.accumulate}"
    texts = {
        "model": f"{config.model.option}, {facts['parameters']:,} parameters",
        "task": experiment.interpretation,
        "data": f"{config.data_title}, {sizes['train']:,} train / {sizes['val']:,} val / {sizes['test']:,} test"
        + _range(experiment),
        "optim": f"{config.optim.option}, lr {rate}, {config.scheduler.option} schedule, batch {batch}",
        "machine": f"{facts['device']}, {values}",
        "reasons": reasons,
        "seed": str(config.seed),
    }
    if named := described_metrics(experiment.metrics, directions(config.tree)):
        texts["metrics"] = named
    notes = (*experiment.bundle.notes, *experiment.notes)
    texts |= {f"note {number}": note for number, note in enumerate(notes, start=1)}
    if state.step:
        texts["resumed"] = f"after epoch {state.epoch}" + (f", batch {state.batch}" if state.batch else "")
        if state.best.epoch:
            best = number(config.monitor, state.best.value)
            texts["resumed"] += f"; best so far: epoch {state.best.epoch}, {config.monitor} {best}"
    title = f"{config.model.option} on {config.data_name}"
    return RunFacts(title, str(run.path), config.trainer.epochs, state.epoch, num_batches, texts)


def _range(experiment: Experiment) -> str:
    """The range in which the network reads and makes pixels, "" where they are normalized, or are no pixels."""
    found = getattr(experiment.bundle.spec.inputs, "value_range", None)
    return f", pixels from {found[0]:g} to {found[1]:g}" if found else ""
