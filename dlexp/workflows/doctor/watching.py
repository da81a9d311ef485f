"""The doctor of a run that is training, with trainer.doctor=true: an observer that tells what is surely wrong, once.

Nothing that it does can change the run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.reading import is_there, read_text
from dlexp.artifacts.files.writing import finite_or_none, write_text
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.training import TrainingSetup
from dlexp.diagnosis.verdict import Verdict
from dlexp.engine.loop import EpochRecord, Observer, StepRecord
from dlexp.text.quoting import command
from dlexp.workflows.epoch_watch import EpochWatch

FILE = "doctor.jsonl"  # a line for each finding, in the directory of the run


def watchers(run: RunDir, setup: TrainingSetup, say: Callable[[str], None]) -> Sequence[Observer]:
    """The observer of a run with trainer.doctor=true, none otherwise.

    Args:
        run: Whose metrics.csv ends with the epoch that training begins after.
        setup: Its training.
        say: Receives a line for each finding.
    """
    return (_Watcher(run, setup, say).observe,) if setup.experiment.config.trainer.doctor else ()


class _Watcher:
    """Tells what the rules find, each code once."""

    def __init__(self, run: RunDir, setup: TrainingSetup, say: Callable[[str], None]) -> None:
        self._path, self._say, self._watch = run / FILE, say, EpochWatch(run.path, setup)
        self._reported = events_until(self._path, setup.state.epoch)
        if is_there(self._path):
            self._write()

    def observe(self, record: StepRecord | EpochRecord) -> None:
        """Tell what is wrong by the end of an epoch, and was not told before."""
        reported = {event["code"] for event in self._reported}
        for verdict in self._watch.observe(record):
            if verdict.code not in reported:
                reported.add(verdict.code)
                self._tell(verdict)

    def _tell(self, verdict: Verdict) -> None:
        self._reported.append(finite_or_none(verdict.as_dict()))
        self._write()
        evidence = "; ".join(one.text() for one in verdict.evidence)
        proof = f"prove it with {command('doctor', self._path.parent)}"
        advice = f"{' '.join(verdict.remedy)} may help; {proof}" if verdict.remedy else proof
        self._say(f"doctor: {verdict.severity} {verdict.code}: {verdict.what} ({evidence}); {advice}")

    def _write(self) -> None:
        write_text(self._path, "".join(json.dumps(event) + "\n" for event in self._reported))


def events_until(path: Path, epoch: int) -> list[dict[str, Any]]:
    """The findings up to an epoch; a damaged file has none."""
    if not is_there(path):
        return []
    found = []
    for line in read_text(path).splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "code" in event and (event.get("epoch") or 0) <= epoch:
            found.append(event)
    return found
