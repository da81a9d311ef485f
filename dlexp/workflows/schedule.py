"""The workflow `dlexp config --plot-schedule`: the learning rate of every update, without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.writing import write_bytes
from dlexp.assemble.experiment import assemble
from dlexp.assemble.training import prepare_training
from dlexp.config.schema.run import RunConfig
from dlexp.errors import ConfigError
from dlexp.runtime.seed import kept_randomness
from dlexp.workflows.pictures import draw_picture


def plot_schedule(config: RunConfig, path: Path, trusted: Sequence[str]) -> dict[str, Any]:
    """Plot the schedule of `config` to `path`, a PNG; returns its key values.

    Raises:
        ConfigError: The schedule depends on a metric, the learning rate is auto, or `path` is not a PNG.
    """
    if path.suffix != ".png":
        raise ConfigError.one(
            "--plot-schedule", str(path), "must end with .png", "Use a name such as schedule.png.", code="invalid-value"
        )
    if config.optim.arguments.get("lr") == "auto":
        rule = "is determined when training starts, so the schedule is unknown"
        raise ConfigError.one(
            "optim.lr",
            "auto",
            rule,
            "Set optim.lr to a number, such as the result of dlexp lr-find",
            code="not-supported",
        )
    with kept_randomness():
        setup = prepare_training(assemble(config, trusted))
    phase, schedule = next(iter(setup.state.schedules.items()))
    if schedule.follows_a_metric:
        rule = f"depends on {config.monitor} during training, so the schedule is unknown"
        remedy = "See plots/curves.png of a finished run."
        raise ConfigError.one("scheduler", config.scheduler.option, rule, remedy, code="not-supported")
    groups = setup.state.optimizers[phase].param_groups
    total = setup.steps_per_epoch * config.trainer.epochs
    rates: list[list[float]] = [[] for _ in groups]
    momenta: list[float] = []
    for _ in range(total):
        for course, group in zip(rates, groups, strict=True):
            course.append(float(group["lr"]))
        momenta.append(_momentum(groups[0]))
        schedule.step()
    courses = {f"group {number}": course for number, course in _different(rates).items()}
    turns = momenta if len(set(momenta)) > 1 else None
    title = f"scheduler={config.scheduler.option} optim={config.optim.option}"
    png = draw_picture(path.name, lambda: _drawn(title, courses, turns, setup.steps_per_epoch))
    write_bytes(path.absolute(), png)
    first = rates[0]
    peak = max(range(total), key=first.__getitem__)
    return {
        "file": str(path),
        "updates": total,
        "updates_per_epoch": setup.steps_per_epoch,
        "lr_first": first[0],
        "lr_highest": first[peak],
        "update_of_highest": peak + 1,
        "lr_last": first[-1],
        "momentum": [min(momenta), max(momenta)] if turns else None,
    }


def _momentum(group: Mapping[str, Any]) -> float:
    """The first beta or the momentum of a parameter group; 0 without either."""
    return float(group["betas"][0] if "betas" in group else group.get("momentum") or 0.0)


def _different(rates: Sequence[list[float]]) -> dict[int, list[float]]:
    """Group number -> its learning rates, without groups equal to an earlier one."""
    return {number: course for number, course in enumerate(rates) if course not in rates[:number]}


def _drawn(
    title: str, rates: Mapping[str, Sequence[float]], momenta: Sequence[float] | None, steps_per_epoch: int
) -> bytes:
    from dlexp.report.figures.schedule import schedule_png  # matplotlib loads when there is something to draw

    return schedule_png(title, rates, momenta, steps_per_epoch)
