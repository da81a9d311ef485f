"""Runs that are trained and examined by the doctor, as a user would."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import dlexp
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.config.files.catalog import Catalog
from dlexp.diagnosis.case import Case
from dlexp.diagnosis.judge import Rule, judge
from dlexp.diagnosis.verdict import Verdict
from dlexp.workflows.doctor.examine import ExamineRequest, case_of_run


def case_of(words: Sequence[str], run: Path) -> Case:
    """Train a run with `words` into `run`, and measure it."""
    dlexp.train(*words, "trainer.threads=1", run_dir=run, progress=False)
    return case_of_run(RunDir.find(run), Catalog(()), ExamineRequest())


def examined(words: Sequence[str], run: Path, rules: Sequence[Rule]) -> list[Verdict]:
    """The verdicts on a run that is trained with `words` into `run`."""
    return judge(case_of(words, run), rules)


def alarms(found: Sequence[Verdict]) -> list[str]:
    """The codes of warnings and errors, with their evidence, for messages of tests."""
    return [f"{one.code}: {'; '.join(e.text() for e in one.evidence)}" for one in found if one.severity != "note"]
