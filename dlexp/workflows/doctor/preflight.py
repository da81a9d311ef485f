"""The pre-flight of `dlexp doctor`: everything that can be said of a run in a minute before it is trained."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch

from dlexp.artifacts.files.writing import finite_or_none
from dlexp.config.compose import load
from dlexp.config.files.catalog import Catalog
from dlexp.config.schema.run import RunConfig
from dlexp.diagnosis.judge import judge
from dlexp.diagnosis.rules.all_rules import RULES
from dlexp.errors import DlexpError
from dlexp.findings import counted
from dlexp.runtime.seed import kept_randomness
from dlexp.workflows.data.check import find_in_data
from dlexp.workflows.doctor.checks import (
    Check,
    Measured,
    Pace,
    check_data,
    check_first_updates,
    check_gradient_flow,
    check_initial_loss,
    check_memorizing,
    check_memory,
    check_rate,
    check_shapes,
    check_time,
    numbers_in,
)
from dlexp.workflows.doctor.doctor import Diagnosis, is_handed_over, line_of_words, report_of
from dlexp.workflows.doctor.examine import ExamineRequest, case_of_words, with_changes
from dlexp.workflows.doctor.examined import Examined
from dlexp.workflows.doctor.memorizing import memorize
from dlexp.workflows.lr_find.lr_find import find_rate, resolve_learning_rate, sweepable
from dlexp.workflows.lr_find.result import Findings
from dlexp.workflows.lr_find.settings import SweepSettings
from dlexp.workflows.prepare.batch_size import resolve_batch_size
from dlexp.workflows.prepare.initial_weights import prepared
from dlexp.workflows.reporter import Silent

_TIMED = 10  # updates, in at most _TIMING_SECONDS
_TIMING_SECONDS = 5.0
_MEMORIZING_SECONDS = 12.0
_SWEEP_SECONDS = 12.0
_SWEEP_STEPS, _FEWEST_STEPS = 100, 20
_MOST_VALUES = 5e7  # numbers of the data that are looked into
_LEAST_RATE, _MOST_RATE = 1e-6, 10.0  # of the rate range


@dataclass(frozen=True)
class Preflight:
    """What was found before training.

    Attributes:
        checks: The rows of the table.
        diagnosis: The findings.
        line: The command that trains.
    """

    checks: tuple[Check, ...]
    diagnosis: Diagnosis
    line: str

    @property
    def may_start(self) -> bool:
        """Whether no check and no finding says that the run cannot be good."""
        found = [one.severity for one in self.diagnosis.findings]
        return "error" not in found and all(check.status != "error" for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        content: dict[str, Any] = finite_or_none(
            {
                "may_start": self.may_start,
                "checks": [check.as_dict() for check in self.checks],
                **self.diagnosis.as_dict(),
                "line": self.line,
            }
        )
        return content


def preflight(words: Sequence[str], catalog: Catalog, request: ExamineRequest) -> Preflight:
    """Measure and judge a configuration in about a minute; nothing is written.

    Raises:
        ConfigError: The words do not make a run.
        DataError: The data cannot be used.
        NoResult: optim.lr=auto finds no rate.
    """
    request = replace(request, is_brief=True)
    typed = tuple(words)
    config = load(typed, catalog)
    words, notes = _resolved(typed, config, request)
    config = load(words, catalog) if words != typed else config
    case = case_of_words(words, catalog, request)
    checks = _checks(config, Measured(case, Examined.prepared(config, request.trusted, case.bundle)), request)
    found = judge(case, RULES)
    if left_out := getattr(case.twin, "left_out", 0):
        text = f"{counted(left_out, 'trial')} of the rules had no time: dlexp doctor makes all of them after the run"
        notes = (*notes, text)
    diagnosis = report_of(replace(case, notes=(*notes, *case.notes)), found, words, request)
    return Preflight(tuple(checks), diagnosis, line_of_words(typed, request, is_handed_over(case)))


def _resolved(
    words: tuple[str, ...], config: RunConfig, request: ExamineRequest
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words with numbers in place of auto, and notes of them."""
    notes = []
    config, batch = resolve_batch_size(config, request.trusted, Silent())
    if batch is not None:
        given = (f"data.batch_size={config.batch_size}", f"trainer.accumulate={config.trainer.accumulate}")
        words = with_changes(words, given)
        words = tuple(word for word in words if not word.startswith("trainer.effective_batch="))
        notes.append(f"data.batch_size=auto: examined with {' '.join(given)}")
    config, findings = resolve_learning_rate(config, request.trusted, Silent())
    if findings is not None:
        words = with_changes(words, (f"optim.lr={findings.rate}",))
        notes.append(f"optim.lr=auto: examined with optim.lr={findings.rate}")
    return words, tuple(notes)


def _checks(config: RunConfig, measured: Measured, request: ExamineRequest) -> list[Check]:
    """The rows of the table, cheap ones first."""
    bundle, say = measured.case.bundle, request.say
    examined = measured.examined
    rows = [_data(config, measured, say), check_shapes(examined), check_initial_loss(measured)]
    rows += [check_gradient_flow(measured.case), check_first_updates(measured.case)]
    say("time of an update")
    pace = _pace(examined)
    each = pace.seconds / (config.batch_size * config.trainer.accumulate)
    say("one batch to memorize")
    rows.append(check_memorizing(memorize(config, bundle, request.trusted, each, _MEMORIZING_SECONDS)))
    rows.append(check_rate(measured.case, _rates(config, examined, pace, request)))
    return [*rows, check_time(pace), check_memory(examined)]


def _data(config: RunConfig, measured: Measured, say: Callable[[str], None]) -> Check:
    bundle = measured.case.bundle
    batch = next(iter(measured.examined.batches_of("train")))
    if sum(bundle.sizes().values()) * numbers_in(batch) / len(batch) > _MOST_VALUES:
        return check_data(bundle, None)
    say("data")
    return check_data(bundle, find_in_data(bundle, config).findings)


def _pace(examined: Examined) -> Pace:
    """The time of an update that nobody watches, and of an evaluation."""
    experiment, setup = examined.experiment, examined.setup
    device = experiment.device
    times: list[float] = []
    with kept_randomness():
        course = examined.course(_TIMED + 1)
        begun = _now(device)
        with suppress(StopIteration, DlexpError):  # a loss that is not finite ends it sooner
            next(course)
            while len(times) < _TIMED and sum(times) < _TIMING_SECONDS:
                before = _now(device)
                next(course)  # makes the update that the last call returned
                times.append(_now(device) - before)
        course.close()
    usual = median(times) if times else _now(device) - begun
    count, looked = len(experiment.bundle.splits["val"]), sum(map(len, examined.batches_of("val")))
    before = _now(device)
    examined.loss_of("val")
    evaluation = (_now(device) - before) * count / max(1, looked)
    return Pace(usual, evaluation, setup.steps_per_epoch, experiment.config.trainer.epochs)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _rates(config: RunConfig, examined: Examined, pace: Pace, request: ExamineRequest) -> Findings | str:
    """The range test of the learning rate, in memory; a text says why there is none."""
    if "lr" not in config.optim.arguments:
        return f"optim={config.optim.option} has no learning rate"
    phases = len(examined.experiment.task.phases)
    if phases > 1:
        return f"the task has {phases} phases, whose losses do not fall as one"
    steps = min(_SWEEP_STEPS, int(_SWEEP_SECONDS / max(pace.seconds, 1e-9)))
    if steps < _FEWEST_STEPS:
        return f"{_FEWEST_STEPS} updates take {_FEWEST_STEPS * pace.seconds:.0f} s; see dlexp lr-find"
    request.say("range of learning rates")
    settings = SweepSettings(_LEAST_RATE, _MOST_RATE, steps)
    bundle = examined.experiment.bundle
    with kept_randomness():
        first = prepared(sweepable(config, config.seed), request.trusted, bundle)
    try:
        return find_rate(config, settings, request.trusted, Silent(), "", first)
    except DlexpError as error:
        return str(error)
