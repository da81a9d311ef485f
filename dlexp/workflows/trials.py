"""Trials in processes of their own, at the price of a fork.

The parent has imported torch and read the data; it computes nothing, so no thread exists that a fork would lose, and it
never touches CUDA. A trial is a forked child: it starts in milliseconds, and whatever ends it (an exception, the
out-of-memory killer, `kill -9`, `sys.exit`) ends nothing else.

Child -> parent, JSON lines: {"epoch", "value"} after each epoch, at the end {"value", ...} or {"failed": reason}.
Parent -> child, a byte for each epoch: c to go on, p to stop because others were better at this age.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlexp.artifacts.checkpoint import CheckpointStore
from dlexp.artifacts.files import read_json, write_json, write_text
from dlexp.artifacts.metrics_log import MetricsLog
from dlexp.assemble import assemble, build_data, start
from dlexp.config.saved import overrides_to_yaml, to_yaml
from dlexp.config.schema import RunConfig
from dlexp.data.bundle import DataBundle
from dlexp.engine.loop import EpochRecord, FitPlan, StepRecord, fit
from dlexp.errors import Diverged, DlexpError, Interrupted
from dlexp.runtime.signals import StopRequest

_GRACE_SECONDS = 20.0  # what a child gets to finish its step and save
_SAVE_SECONDS = 5.0  # a trial shorter than this is cheaper to repeat than to save


@dataclass(frozen=True)
class Job:
    """One configuration to train.

    words    the overrides that describe it
    bundle   its data, None to read them
    threads  processor cores it may use
    """

    config: RunConfig
    words: tuple[str, ...]
    folder: Path
    trusted: tuple[str, ...]
    bundle: DataBundle | None
    threads: int


@dataclass
class Child:
    """A running trial as its parent sees it."""

    number: int
    pid: int
    folder: Path
    reports: int  # file descriptor
    replies: int  # file descriptor
    started: float = field(default_factory=time.monotonic)
    buffer: bytes = b""
    asked_to_stop: float | None = None  # when, on the monotonic clock
    is_late: bool = False  # that was for search.trial_minutes
    has_settled: bool = False

    def lines(self) -> Iterator[dict[str, Any]]:
        """Complete messages that are waiting; ends when there are none."""
        while b"\n" in self.buffer:
            line, _, self.buffer = self.buffer.partition(b"\n")
            yield json.loads(line)

    def read(self) -> bool:
        """Take in what has come; False when the child's end is closed."""
        content = os.read(self.reports, 65536)
        self.buffer += content
        return bool(content)

    def reply(self, go_on: bool) -> None:
        """Answer an epoch's report; a child that is gone needs none."""
        try:
            os.write(self.replies, b"c" if go_on else b"p")
        except BrokenPipeError:
            return

    def stop(self) -> None:
        """Ask the child to finish its step, save and leave; asked again, one that takes too long is killed."""
        now = time.monotonic()
        if self.asked_to_stop is not None and now - self.asked_to_stop < _GRACE_SECONDS:
            return
        try:
            os.kill(self.pid, signal.SIGTERM if self.asked_to_stop is None else signal.SIGKILL)
        except ProcessLookupError:
            return
        self.asked_to_stop = now

    def wait(self) -> str:
        """Collect the ended child; how it ended, "" for an exit with 0."""
        os.close(self.reports)
        os.close(self.replies)
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}" if code else ""


def launch(number: int, job: Job) -> Child:
    """Fork a child that does the job."""
    reports, to_parent = os.pipe()
    from_parent, replies = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(to_parent)
        os.close(from_parent)
        return Child(number, pid, job.folder, reports, replies)
    code = 1
    try:
        os.close(reports)
        os.close(replies)
        code = _child(job, to_parent, from_parent)
    finally:
        os._exit(code)  # not sys.exit: the parent's cleanups are the parent's


def wait_for_messages(children: list[Child], timeout: float) -> list[Child]:
    """The children that have said something or ended, at most `timeout` seconds from now."""
    ready, _, _ = select.select([child.reports for child in children], [], [], timeout)
    return [child for child in children if child.reports in ready]


def _child(job: Job, to_parent: int, from_parent: int) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    _redirect_output(job.folder)

    def send(message: dict[str, Any]) -> None:
        os.write(to_parent, json.dumps(message).encode() + b"\n")

    def receive() -> bool:
        return os.read(from_parent, 1) != b"p"  # nothing at all: the parent is gone, which `stop` sees

    try:
        send(run_trial(job, lambda epoch, value: _ask(send, receive, epoch, value)))
        return 0
    except Diverged as error:
        send({"failed": f"diverged: {error}"})
    except Interrupted:
        send({"interrupted": True})
    except MemoryError:
        send({"failed": "oom"})
    except DlexpError as error:
        send({"failed": str(error)})
    except BaseException as error:
        traceback.print_exc()
        is_memory = "out of memory" in str(error).lower()
        send({"failed": "oom" if is_memory else f"{type(error).__name__}: {error}"})
    return 0


def _ask(send: Callable[[dict[str, Any]], None], receive: Callable[[], bool], epoch: int, value: float) -> bool:
    send({"epoch": epoch, "value": value})
    return receive()


class _Pruned(StopRequest):
    """A stop request that signals raise, a parent's answer and a parent's death too."""

    def __init__(self) -> None:
        super().__init__()
        self.pruned = False
        self._parent = os.getppid()

    def __bool__(self) -> bool:
        return self.pruned or super().__bool__() or os.getppid() != self._parent

    @property
    def name(self) -> str:
        """Why."""
        return "prune" if self.pruned else super().name or "the end of the study's process"


class _SeldomSaved:
    """Checkpoints of a trial: the last state when some seconds have passed since the one before, no best weights."""

    def __init__(self, store: CheckpointStore) -> None:
        self._store, self._saved = store, time.monotonic()

    def save_last(self, state: Any) -> None:
        """Save when it is worth it."""
        if time.monotonic() - self._saved > _SAVE_SECONDS:
            self._store.save_last(state)
            self._saved = time.monotonic()

    def save_best(self, state: Any) -> None:
        """Nothing: the winner is trained again."""


def run_trial(job: Job, go_on: Callable[[int, float], bool]) -> dict[str, Any]:
    """Train one configuration and say what came out; `go_on(epoch, value)` is asked after every epoch.

    Leaves config.yaml, metrics.csv, metrics.jsonl, train.log and result.json. Raises Interrupted, with a checkpoint
    saved, on SIGTERM; Diverged when the loss is not finite.
    """
    import torch

    torch.set_num_threads(job.threads)
    config, folder = job.config, job.folder
    write_text(folder / "config.yaml", to_yaml(config))
    write_text(folder / "overrides.yaml", overrides_to_yaml(list(job.words)))
    experiment = assemble(config, job.trusted, job.bundle)
    started = start(experiment)
    state, log, stop = started.state, MetricsLog(folder), _Pruned()
    store = CheckpointStore(folder / "checkpoints", log.say)
    saved = store.load_last()
    if saved is not None:
        state.load_state_dict(saved)
    first_epoch = state.epoch + 1
    log.rewind(state.epoch, state.step)

    def observe(record: StepRecord | EpochRecord) -> None:
        if isinstance(record, EpochRecord):
            log.epoch(record.values)
            stop.pruned = not go_on(record.epoch, float(record.values[config.monitor]))

    plan = FitPlan(
        task=experiment.task,
        train=started.batches,
        val=experiment.split("val"),
        rules=started.rules,
        epochs=config.trainer.epochs,
        accumulate=config.trainer.accumulate,
        monitor=config.monitor,
        observers=(observe,),
    )
    with stop:
        try:
            reason = fit(plan, state, _SeldomSaved(store), stop)
        except Interrupted:
            if not stop.pruned:
                store.save_last(state.state_dict())
                raise
            reason = "pruned"
    result = {
        "value": state.best.value,
        "best_epoch": state.best.epoch,
        "first_epoch": first_epoch,
        "epochs": state.epoch,
        "pruned": reason == "pruned",
        "parameters": experiment.num_parameters,
    }
    write_json(folder / "result.json", result)
    return result


def known_value(job: Job) -> float | None:
    """What the same configuration gave in this directory before, None when it did not end there."""
    saved, result = job.folder / "config.yaml", job.folder / "result.json"
    if not result.is_file() or saved.read_text(encoding="utf-8") != to_yaml(job.config):
        return None
    value = read_json(result)["value"]
    return None if value is None else float(value)


def prepare(config: RunConfig, trusted: tuple[str, ...]) -> DataBundle:
    """Everything that trials share: torch with its optimizers, and the data, in the parent of all forks."""
    import torch

    torch.set_num_threads(1)  # a pool of threads made here would be lost in a fork, and waited for
    import torch._dynamo  # a second and a half that every optimizer's constructor pays, once

    return build_data(config, trusted)


def _redirect_output(folder: Path) -> None:
    """What the child prints goes to output.log of its trial."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "output.log").open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
