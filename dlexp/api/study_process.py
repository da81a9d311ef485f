"""A study of a Python program, in a process of its own.

The trials of a study are forked. A process that has computed has threads and perhaps a GPU, which a fork would lose; a
notebook is such a process. So the study starts from a new interpreter, which imports no module of the program.

To the process: a `StudyCall` through a pipe that it alone inherits. From it: JSON lines {"say": text}, then
{"study": study.json} or {"error": ...}.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dlexp.errors import ConfigError, DataError, Diverged, DlexpError, Interrupted, NoResult, OutOfMemory, Problem

_RUN = "from dlexp.api.study_process import main; main()"
_KINDS: dict[str, type[DlexpError]] = {kind.__name__: kind for kind in (DlexpError, NoResult, OutOfMemory)}


@dataclass(frozen=True)
class StudyCall:
    """The arguments of a study.

    Attributes:
        words: The overrides.
        given: What is handed over as data, None for files.
        folder: The directory of the study.
        trials: Their total number.
        together: How many processes run at the same time, and how many trials each trains.
        config_dirs: Directories of the user's options.
        trusted: Trusted packages.
    """

    words: tuple[str, ...]
    given: Any
    folder: str
    trials: int
    together: tuple[int, int]
    config_dirs: tuple[str, ...]
    trusted: tuple[str, ...]


def run_study(call: StudyCall, say: Callable[[str], None] | None) -> dict[str, Any]:
    """Run a study; returns study.json. Raises the error of the study.

    Args:
        call: The study.
        say: Receives a line per finished trial; None for none.
    """
    reader, writer = multiprocessing.Pipe(duplex=False)
    command = [sys.executable, "-c", _RUN, str(reader.fileno())]
    # Ctrl-C is sent to every process of a terminal; it is passed on once, below.
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
        pass_fds=[reader.fileno()],
    )
    reader.close()  # so that writing fails if the process ends without reading
    try:
        with writer:
            try:
                writer.send(call)
            except BrokenPipeError:
                raise DlexpError("the process of the study ended before it began") from None
        return _answer(process, say)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _answer(process: subprocess.Popen[bytes], say: Callable[[str], None] | None) -> dict[str, Any]:
    assert process.stdout is not None
    with process.stdout as lines:
        while True:
            try:
                line = lines.readline()
            except KeyboardInterrupt:  # the trials are saved, and the process says so
                process.send_signal(signal.SIGINT)
                continue
            if not line:
                raise DlexpError(f"the process of the study ended with exit code {process.wait()}")
            message = json.loads(line)
            if "error" in message:
                raise _error_of(message["error"])
            if "study" in message:
                found: dict[str, Any] = message["study"]
                return found
            if say is not None:
                say(message["say"])


def main() -> None:
    """Run the study that is sent through the pipe named on the command line: the body of its process."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # a user's own module may print
    with Connection(int(sys.argv[1]), writable=False) as pipe:
        call: StudyCall = pipe.recv()

    def send(message: Mapping[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    try:
        send({"study": _run(call, lambda text: send({"say": text}))})
    except DlexpError as error:
        send({"error": _plain_error(error)})


def _run(call: StudyCall, say: Callable[[str], None]) -> dict[str, Any]:
    from dlexp.runtime.process import prepare_process

    prepare_process()
    from dlexp.artifacts.files.writing import finite_or_none
    from dlexp.config.files.catalog import Catalog
    from dlexp.config.nodes import trusted_packages
    from dlexp.config.search import load_search
    from dlexp.data.memory.handed_over import hand_over
    from dlexp.workflows.tune.tune import TuneRequest, tune

    trusted = trusted_packages(call.trusted)
    with hand_over(call.given):
        search = load_search(call.words, Catalog(tuple(map(Path, call.config_dirs))))
        line = f"dlexp.study({', '.join(map(repr, call.words))})"
        jobs, stacked = call.together
        request = TuneRequest(Path(call.folder), call.trials, jobs, None, call.words, trusted, line, stacked=stacked)
        found = tune(search, request, _Lines(say, call.trials, search.base.monitor))
    plain: dict[str, Any] = finite_or_none(found)
    return plain


class _Lines:
    """The reporter of a study: a line per finished trial."""

    def __init__(self, say: Callable[[str], None], total: int, metric: str) -> None:
        self._say, self._total, self._metric = say, total, metric

    def say(self, text: str) -> None:
        """Pass a message on."""
        self._say(text)

    def observe(self, event: Any) -> None:
        """Describe a trial that has finished; the event is a `StudyProgress`."""
        from dlexp.report.number_format import number

        trial = event.trial
        if trial.state != "running":
            value, leader = number(self._metric, trial.value), number(self._metric, event.best)
            reason = f"  {trial.reason}" if trial.reason else ""
            text = f"trial {trial.number}  {trial.state}  {self._metric} {value}{reason}"
            self._say(f"{text}  best {leader}  {event.finished}/{self._total}")

    def end(self) -> None:
        """Do nothing."""


def _plain_error(error: DlexpError) -> dict[str, Any]:
    problems = [asdict(problem) for problem in error.problems] if isinstance(error, ConfigError) else []
    plain = {"message": str(error), "code": error.code, "exit_code": error.exit_code, "problems": problems}
    return {"kind": type(error).__name__, **plain}


def _error_of(plain: Mapping[str, Any]) -> DlexpError:
    """The error that `_plain_error` describes."""
    kind, message = plain["kind"], plain["message"]
    if kind == "ConfigError":
        return ConfigError([Problem(**problem) for problem in plain["problems"]])
    if kind == "Interrupted":
        return Interrupted(message, plain["exit_code"])
    if kind == "Diverged":
        return Diverged(message)
    if kind == "DataError":
        return DataError(message, code=plain["code"])
    return _KINDS.get(kind, DlexpError)(message, code=plain["code"])
